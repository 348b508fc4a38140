//! Layer 5: administration as use cases. The command line, the administration API and the self-service page call
//! the same ones.
//!
//! Invariants: a secret or a recovery code is in what making it returns, once, and in nothing else; every change
//! is recorded with who made it.

mod change;
mod devices;
mod enrol;
mod export;
pub mod import;
mod moving;
mod status;

pub use change::{AdminError, Administration, LeadsTo, Reset};
pub use enrol::{Enrolled, NewEnrolment, RecoveryCodes, checked_label};
pub use export::{ExportFile, ExportSummary};
pub use moving::{BadRow, DoneRow, ImportSummary, Rehearsal, RowOutcome};
pub use status::{ListedName, NamePage, StatusReport, device_json, event_json, name_json};
