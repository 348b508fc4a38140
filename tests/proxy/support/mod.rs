//! What the tests are made of: the gateway's process, an upstream's listener, and raw connections.

mod gateway;
mod upstream;
mod wire;

use std::time::{Duration, Instant};

pub(crate) use gateway::Gateway;
pub(crate) use upstream::{Upstream, refusing_url, silent_url};
pub(crate) use wire::{Head, Wire};

/// How long anything may take before a test gives it up. It is long because machines are busy; no test
/// that passes waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer is as wanted.
#[track_caller]
pub(crate) fn until(wanted: impl Fn() -> bool) {
    let start = Instant::now();
    while !wanted() {
        assert!(start.elapsed() < PATIENCE, "it does not happen");
    }
}
