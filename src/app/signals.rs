//! What the system tells the process, and what the process tells whoever started it.

use std::io;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::debug;

/// SIGTERM, of service managers, and SIGINT, of terminals, stop; SIGHUP reloads.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Option<Signal>,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: Some(signal(SignalKind::hangup())?),
        })
    }

    /// Until the next one that stops.
    pub(super) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The signal that reloads, for whoever does that. Without one it is heard, and does nothing.
    pub(super) const fn take_reload(&mut self) -> Option<Signal> {
        self.hang_up.take()
    }
}

/// Tells the service manager (`sd_notify(3)`), if there is one.
pub(super) fn tell_manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the service manager cannot be told");
    }
}
