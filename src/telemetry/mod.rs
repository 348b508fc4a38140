//! Layer 4: logs, audit events and metrics.
//!
//! Invariants: nothing here is handed a secret; lines leave through a bounded queue, so that a reader
//! that stalls costs lines, never requests.

mod audit;
mod challenges;
mod clock;
mod events;
mod gathering;
mod instruments;
mod json_lines;
mod lines;
mod log;
mod metrics;
#[cfg(feature = "otlp")]
mod spans;

pub use audit::AuditLog;
pub use challenges::{ChallengeNews, Challenges, OpenChallenges};
pub use clock::SystemClock;
pub use events::{AuditFile, AuditTarget, EventSender, write_events};
pub use log::{LogFormat, LogGuard, LogSettings, init};
pub use metrics::{GrantEnd, GrantKind, METRICS_MEDIA_TYPE, Metrics, RequestRoute};
#[cfg(feature = "otlp")]
pub use spans::Spans;
