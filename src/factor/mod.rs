//! Layer 1: enrolled secrets and their verifiers. Pure: the time is an argument.
//!
//! Invariants: a [`Matched`] exists only because [`verify`] found that a passcode fits a factor, and
//! it says which step fitted, so that the step can be spent exactly once. Every factor and every
//! step of the window is compared, in constant time, whether or not an earlier one fitted.

mod passcode;
pub mod totp;

pub use passcode::{Passcode, Presented};

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

/// Compares a passcode with every factor. An empty answer means that it fits none.
pub fn verify(factors: &NonEmpty<Factor>, passcode: &Passcode, now: UnixTime) -> Vec<Matched> {
    factors
        .as_slice()
        .iter()
        .filter_map(|factor| {
            let step = factor.totp.matching_step(passcode, now)?;
            Some(Matched { factor: factor.id.clone(), step, window_secs: factor.totp.window_secs() })
        })
        .collect()
}

/// The longest time for which one passcode of these factors can be presented, in seconds.
pub fn window_secs(factors: &NonEmpty<Factor>) -> u64 {
    factors.as_slice().iter().map(|factor| factor.totp.window_secs()).max().unwrap_or_default()
}
