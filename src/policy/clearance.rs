//! The permission to release a token, as values that only a check can make.

use super::{Challenge, device::DeviceUsed, lockout::Settlement};
use crate::{factor::Fit, types::FactorId};

/// The permission to release one withheld token.
#[derive(Debug)]
pub enum Clearance {
    /// A factor was verified, and its passcode spent; or a device stood for it, and its secret was used up.
    Verified(FactorVerified),
    /// The subject has no factor, or a rule exempts it.
    Exempt(NotRequired),
    /// The token is made of one that was cleared.
    Continued(Continued),
    /// The gateway only watches.
    Unenforced(Unenforced),
}

/// Proof that a passcode or a recovery code fitted and that the ledger accepted it, once; or that a device's secret
/// fitted and was used up.
#[derive(Debug)]
pub struct FactorVerified {
    means: Means,
    id: FactorId,
}

/// By what somebody was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// A passcode of an authenticator.
    Passcode,
    /// A recovery code.
    RecoveryCode,
    /// A device that is remembered.
    Device,
}

/// Proof that the store answered that the subject has no factor, or that a rule exempts it.
#[derive(Debug)]
pub struct NotRequired {
    is_exempt: bool,
}

/// Proof that the configuration has the gateway watch only.
#[derive(Debug)]
pub struct Unenforced(());

impl Unenforced {
    /// For `policy::Enforcement` alone.
    pub(super) const BECAUSE_CONFIGURED: Self = Self(());
}

impl NotRequired {
    /// For `policy::need` alone, at the one place where the enrolment is known to be absent.
    pub(super) const BECAUSE_ABSENT: Self = Self { is_exempt: false };
    /// For `policy::need` alone: a rule exempts the grant.
    pub(super) const BECAUSE_EXEMPT: Self = Self { is_exempt: true };

    /// Whether a rule exempts the grant, whoever is enrolled.
    pub const fn is_exempt(&self) -> bool {
        self.is_exempt
    }
}

/// Proof that a refresh token is not from before its subject enrolled, or that it never did.
#[derive(Debug)]
pub struct Continued(());

impl Continued {
    /// For `policy::refresh` alone: the enrolment is known to be absent.
    pub(super) const BECAUSE_ABSENT: Self = Self(());
    /// For `policy::refresh` alone: the refresh token is from after the enrolment.
    pub(super) const BECAUSE_LATER: Self = Self(());
}

impl From<Continued> for Clearance {
    fn from(proof: Continued) -> Self {
        Self::Continued(proof)
    }
}

impl FactorVerified {
    /// Turns what fitted and how it was settled into the proof, or into what to tell the client.
    ///
    /// A ledger that accepts what fitted nothing, or names a factor that did not fit, is not believed.
    pub fn new(fit: &Fit, settlement: Settlement) -> Result<Self, Challenge> {
        match settlement {
            Settlement::Accepted { factor: id } => match fit {
                Fit::Steps(steps) if steps.iter().any(|matched| *matched.factor() == id) => {
                    Ok(Self { means: Means::Passcode, id })
                }
                Fit::RecoveryCode(Some(code)) if *code.id() == id => {
                    Ok(Self { means: Means::RecoveryCode, id })
                }
                Fit::Steps(_) | Fit::RecoveryCode(_) => Err(Challenge::WrongPasscode),
            },
            Settlement::Wrong => Err(Challenge::WrongPasscode),
            Settlement::Replayed => Err(Challenge::UsedPasscode),
            Settlement::Locked { for_secs } => Err(Challenge::Locked { for_secs }),
            Settlement::LockedForGood => Err(Challenge::LockedForGood),
        }
    }

    /// A device stood for a code that was verified before.
    pub fn by_device(used: DeviceUsed) -> Self {
        Self { means: Means::Device, id: used.into_id() }
    }

    /// The factor whose passcode was spent, the device, or the recovery code that was.
    pub const fn id(&self) -> &FactorId {
        &self.id
    }

    /// By which of the three.
    pub const fn means(&self) -> Means {
        self.means
    }
}

impl From<FactorVerified> for Clearance {
    fn from(proof: FactorVerified) -> Self {
        Self::Verified(proof)
    }
}

impl From<Unenforced> for Clearance {
    fn from(proof: Unenforced) -> Self {
        Self::Unenforced(proof)
    }
}

impl From<NotRequired> for Clearance {
    fn from(proof: NotRequired) -> Self {
        Self::Exempt(proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_accepts_what_did_not_fit_is_not_believed() {
        let factor = FactorId::parse("f1").unwrap();
        for fit in [Fit::Steps(vec![]), Fit::RecoveryCode(None)] {
            let refused = FactorVerified::new(&fit, Settlement::Accepted { factor: factor.clone() });
            assert_eq!(refused.err(), Some(Challenge::WrongPasscode));
        }
    }
}
