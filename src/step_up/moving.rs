//! What comes from another system, and what leaves for another gateway.
//!
//! Invariants: a factor that is taken over is written with its recovery codes and its last used step, or not at all;
//! one that is there already is left as it is, so that codes used since do not come back.

use super::NewFactor;
use crate::{
    factor::{Factor, PresentedRecoveryCode},
    types::{FactorId, Secret, SubjectId, UnixTime},
};

/// A factor from another system, with what belongs to it.
#[derive(Debug)]
pub struct Takeover {
    /// The factor; it has an id.
    pub factor: NewFactor,
    /// Unused recovery codes; they come on top of those that the subject has.
    pub recovery_codes: Vec<TakenCode>,
    /// The last step that the other system accepted (RFC 6238 section 4.2): it is not accepted again.
    pub last_used_step: Option<u64>,
    /// When it is taken over.
    pub now: UnixTime,
}

/// A recovery code that is taken over.
#[derive(Debug, Clone)]
pub enum TakenCode {
    /// The code itself.
    Plain(PresentedRecoveryCode),
    /// What another gateway kept of it: the salt and the digest, under the name that it had there.
    Digest(FactorId, Secret<Vec<u8>>),
}

/// How a takeover ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenOver {
    /// The factor counts from now on.
    Added,
    /// The subject has that secret already. Nothing was changed.
    AlreadyThere,
}

/// All that another gateway needs to know of a name.
#[derive(Debug)]
pub enum Departing {
    /// It is another name of this subject.
    AliasOf(SubjectId),
    /// Its factors that count, and its unused recovery codes.
    Subject {
        /// Each with the last step that was accepted, as far as it is remembered.
        factors: Vec<(Factor, Option<u64>)>,
        /// The name, the salt and the digest of each.
        recovery_codes: Vec<(FactorId, Secret<Vec<u8>>)>,
    },
}
