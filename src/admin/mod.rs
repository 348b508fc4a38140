//! Layer 5: administration as use cases. The command line calls them now; whoever else administers
//! later calls the same ones.
//!
//! Invariant: a secret is in what [`enrol()`] returns, once, and in nothing else.

mod alias;
mod enrol;
mod status;

pub use alias::{add_alias, remove_alias};
pub use enrol::{Enrolled, NewEnrolment, enrol};
pub use status::{StatusReport, status};

use crate::{
    step_up::{EnrolmentRegistry, StoreError},
    types::SubjectId,
};

/// Removes all factors of a subject. Returns how many there were.
pub async fn disable(registry: &impl EnrolmentRegistry, subject: &SubjectId) -> Result<usize, StoreError> {
    registry.disable(subject).await
}

/// Forgets a subject's failures and lifts its lock. Returns whether there was anything to forget.
pub async fn unlock(registry: &impl EnrolmentRegistry, subject: &SubjectId) -> Result<bool, StoreError> {
    registry.unlock(subject).await
}
