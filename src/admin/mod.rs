//! Layer 4: administration as use cases. The command line, the administration API and the self-service page call
//! the same ones.
//!
//! Invariants: a secret or a recovery code is in what making it returns, once, and in nothing else; every change
//! is recorded with who made it.

mod change;
mod enrol;
mod status;

pub use change::{AdminError, Administration, Reset};
pub use enrol::{Enrolled, NewEnrolment, RecoveryCodes};
pub use status::{StatusReport, device_json, event_json, name_json};
