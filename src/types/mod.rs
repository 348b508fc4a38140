//! Layer 0: the vocabulary every other layer speaks.
//!
//! Invariants: a [`SubjectId`] is folded text, a [`Secret`] never prints itself, a [`NonEmpty`] has a
//! first element. Nothing here does I/O, and nothing here knows a protocol.

pub mod fold;
pub mod limits;
mod names;
mod non_empty;
mod secret;
mod time;

pub use names::{FactorId, FactorIdFault, SubjectId};
pub use non_empty::NonEmpty;
pub use secret::Secret;
pub use time::UnixTime;
