//! The one place that asks the system for the time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{step_up::Clock, types::UnixTime};

/// The machine's clock. A TOTP passcode is checked against it, so it must be kept by NTP.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that the others are given")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 matches no passcode at all, which is the safe side.
        UnixTime::from_secs(since_epoch.map_or(0, |span| span.as_secs()))
    }
}
