//! Layer 4: logs, audit events and metrics.
//!
//! Invariants: nothing here is handed a secret; lines leave through a bounded queue, so that a reader
//! that stalls costs lines, never requests.

mod audit;
mod clock;
mod log;
mod metrics;

pub use audit::LogAudit;
pub use clock::SystemClock;
pub use log::{LogFormat, LogGuard, LogSettings, init};
pub use metrics::{METRICS_MEDIA_TYPE, Metrics};
