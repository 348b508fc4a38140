//! The one place that asks the system for the time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{step_up::Clock, types::UnixTime};

/// The machine's clock. A TOTP passcode is checked against it, so it must be kept by NTP.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The time, and microseconds since then.
    pub fn now_with_micros(self) -> (UnixTime, u32) {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that the others are given")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 matches no passcode at all, which is the safe side.
        let since_epoch = since_epoch.unwrap_or_default();
        (UnixTime::from_secs(since_epoch.as_secs()), since_epoch.subsec_micros())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        self.now_with_micros().0
    }
}
