//! Layer 2: facts in, decisions out. Pure.
//!
//! Invariants: a [`Clearance`] has no public constructor. It comes from [`need`], for an enrolment that the store has
//! *answered* to be absent, or that a rule exempts; from [`FactorVerified::new`], which needs a passcode that fitted
//! and a ledger that accepted it; from [`FactorVerified::by_device`], which needs a device's secret that fitted and a
//! store that has put the next one in its place; from [`refresh::continued`], for a refresh token that was let out
//! later than its subject enrolled; or from [`Enforcement`], where nothing is enforced. Without one, no token is
//! released.

mod clearance;
pub mod device;
pub mod grants;
pub mod lockout;
pub mod refresh;
pub mod rules;
pub mod throttle;

pub use clearance::{Clearance, Continued, FactorVerified, Means, NotRequired, Unenforced};

use self::rules::Verdict;
use crate::{
    factor::{Factors, Presented},
    types::{FactorId, SubjectId, UnixTime},
};

/// What the store says of a subject. An outage is a `StoreError`, never [`Enrolment::Absent`].
#[derive(Debug, Clone)]
pub enum Enrolment {
    /// The store answered: this subject has no factor.
    Absent,
    /// At least one factor, all of them opened.
    Active(Factors),
}

impl Enrolment {
    /// Whether there is a factor that counts.
    pub const fn is_active(&self) -> bool {
        matches!(self, Self::Active(_))
    }

    /// The factors that count.
    pub fn factor_ids(&self) -> Vec<FactorId> {
        match self {
            Self::Absent => Vec::new(),
            Self::Active(factors) => factors.totp.as_slice().iter().map(|factor| factor.id.clone()).collect(),
        }
    }
}

/// Why the client is asked for a passcode (again).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// None was presented.
    PasscodeWanted,
    /// It fits no factor.
    WrongPasscode,
    /// It fitted, but was used before (RFC 6238 section 5.2).
    UsedPasscode,
    /// Too many failures: whatever the passcode, none is accepted for so long.
    Locked {
        /// Seconds until attempts are looked at again.
        for_secs: u64,
    },
    /// Too many failures in a row: only an administrator unlocks.
    LockedForGood,
    /// A rule asks for a factor, and there is none yet.
    EnrolmentWanted,
}

/// Why a token stays here, though no passcode would help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// An e-mail address that is nobody's alias: whose it is cannot be told.
    UnknownAddress,
    /// A refresh token from before its subject had a factor, or of which nothing is known.
    IssuedBeforeEnrolment,
    /// A rule refuses it.
    Policy,
}

/// Whether what is decided is also done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enforcement {
    /// It is.
    #[default]
    On,
    /// It is only recorded, for introducing the gateway on a live site: every token is let out.
    AuditOnly,
}

impl Enforcement {
    /// The permission to let out what would have been withheld, where nothing is enforced.
    pub fn unenforced(self) -> Option<Unenforced> {
        (self == Self::AuditOnly).then_some(Unenforced::BECAUSE_CONFIGURED)
    }
}

/// What the user names of a site are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressRule {
    /// An e-mail address is another name of somebody: it must be known as an alias.
    #[default]
    Aliases,
    /// An e-mail address is a user name like any other.
    Names,
}

impl AddressRule {
    /// Whether nobody can say whose name it is that was claimed, and that nobody enrolled.
    pub fn is_unknown(self, claimed: &SubjectId) -> bool {
        self == Self::Aliases && claimed.as_str().contains('@')
    }
}

/// What a password grant needs, before any attempt is settled.
#[derive(Debug)]
pub enum Need<'a> {
    /// Nothing: the subject has no factor, or is exempt.
    Nothing(NotRequired),
    /// Nothing would help.
    Refusal(Denial),
    /// A passcode, and none came.
    Challenge(Challenge),
    /// To settle this attempt against these factors.
    Attempt {
        /// The enrolled factors.
        factors: &'a Factors,
        /// What was presented.
        passcode: &'a crate::factor::Passcode,
    },
}

/// Says what releases the token of a subject with this enrolment, by this verdict.
pub fn need<'a>(
    verdict: Verdict,
    enrolment: &'a Enrolment,
    presented: &'a Presented,
    now: UnixTime,
) -> Need<'a> {
    match (verdict, enrolment) {
        (Verdict::Refuse, Enrolment::Absent | Enrolment::Active(_)) => Need::Refusal(Denial::Policy),
        (Verdict::Exempt, Enrolment::Absent | Enrolment::Active(_)) => {
            Need::Nothing(NotRequired::BECAUSE_EXEMPT)
        }
        (Verdict::IfEnrolled, Enrolment::Absent) => Need::Nothing(NotRequired::BECAUSE_ABSENT),
        (Verdict::Require { grace_until }, Enrolment::Absent) => {
            if grace_until.is_some_and(|end| now < end) {
                Need::Nothing(NotRequired::BECAUSE_ABSENT)
            } else {
                Need::Challenge(Challenge::EnrolmentWanted)
            }
        }
        (Verdict::IfEnrolled | Verdict::Require { .. }, Enrolment::Active(factors)) => match presented {
            Presented::Nothing => Need::Challenge(Challenge::PasscodeWanted),
            Presented::Passcode(passcode) => Need::Attempt { factors, passcode },
        },
    }
}
