//! Layer 1: enrolled secrets and their verifiers. Pure: the time is an argument.
//!
//! Invariants: a [`Matched`] exists only because a passcode was found to fit a factor, and
//! it says which step fitted, so that the step can be spent exactly once. Every factor and every
//! step of the window is compared, in constant time, whether or not an earlier one fitted.

mod passcode;
mod recovery;
pub mod totp;

pub use passcode::{Passcode, Presented};
pub use recovery::{PresentedRecoveryCode, RecoveryCode, RecoveryMatch, recovery_code_text};

use crate::types::{FactorId, NonEmpty, UnixTime};

/// One enrolled factor of a subject.
#[derive(Debug, Clone)]
pub struct Factor {
    /// Its name, unique within the subject.
    pub id: FactorId,
    /// What the person calls it, if they named it.
    pub label: Option<String>,
    /// When it was enrolled; `None` for a secret that a site's own code wrote.
    pub enrolled_at: Option<UnixTime>,
    /// The verifier.
    pub totp: totp::Totp,
}

/// Proof that a passcode fits a factor at a step. Not yet proof that the step was unused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    factor: FactorId,
    step: u64,
    window_secs: u64,
}

impl Matched {
    /// The factor that the passcode fitted.
    pub fn factor(&self) -> &FactorId {
        &self.factor
    }

    /// The time step of RFC 6238 section 4.2 (T) that the passcode belongs to.
    pub const fn step(&self) -> u64 {
        self.step
    }

    /// How long that passcode can be presented, in seconds: `(2·skew+1)·period`.
    pub const fn window_secs(&self) -> u64 {
        self.window_secs
    }
}

/// All that verifies a subject.
#[derive(Debug, Clone)]
pub struct Factors {
    /// Its authenticators.
    pub totp: NonEmpty<Factor>,
    /// Its unused recovery codes.
    pub recovery_codes: Vec<RecoveryCode>,
}

/// What a presented passcode fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// It was compared with every authenticator. Empty: it fits none.
    Steps(Vec<Matched>),
    /// It can be a recovery code only, and was compared with all of them.
    RecoveryCode(Option<RecoveryMatch>),
}

impl Fit {
    /// Whether it fits nothing.
    pub const fn is_wrong(&self) -> bool {
        match self {
            Self::Steps(steps) => steps.is_empty(),
            Self::RecoveryCode(found) => found.is_none(),
        }
    }
}

/// Compares a passcode with every factor. `is_code` compares it with one recovery code, in constant time.
pub fn verify(
    factors: &Factors,
    passcode: &Passcode,
    now: UnixTime,
    is_code: impl Fn(&RecoveryCode, &PresentedRecoveryCode) -> bool,
) -> Fit {
    let digits = factors.totp.as_slice().iter().map(|factor| factor.totp.parameters().digits());
    if let Some(presented) = PresentedRecoveryCode::from_passcode(passcode, digits) {
        let found = RecoveryMatch::find(&factors.recovery_codes, |code| is_code(code, &presented));
        return Fit::RecoveryCode(found);
    }
    Fit::Steps(factors.totp.as_slice().iter().filter_map(|factor| factor.matched(passcode, now)).collect())
}

impl Factor {
    /// Compares a passcode with this factor alone.
    pub fn matched(&self, passcode: &Passcode, now: UnixTime) -> Option<Matched> {
        let step = self.totp.matching_step(passcode, now)?;
        Some(Matched { factor: self.id.clone(), step, window_secs: self.totp.window_secs() })
    }
}

/// The longest time for which one passcode of these factors can be presented, in seconds.
pub fn window_secs(factors: &Factors) -> u64 {
    factors.totp.as_slice().iter().map(|factor| factor.totp.window_secs()).max().unwrap_or_default()
}
