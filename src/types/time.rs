//! Points in time, as an argument: nobody below `app` asks a clock.

use std::time::Duration;

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds (POSIX time).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The time `secs` seconds after the epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Seconds since the epoch.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// Seconds since the epoch, for what counts them with a sign; the largest number is the latest answer.
    pub fn to_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// The same time for calendars, which end with the year 9999; so does the latest answer.
    pub fn to_timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(self.to_i64()).unwrap_or(jiff::Timestamp::MAX)
    }

    /// The time `span` later, cut to whole seconds; the end of time is the latest answer.
    #[must_use]
    pub const fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }

    /// Whole seconds from `self` until `later`; zero when `later` is not later.
    pub const fn secs_until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_no_calendar_has_is_the_last_one() {
        assert_eq!(UnixTime::from_secs(0).to_timestamp().to_string(), "1970-01-01T00:00:00Z");
        let end = UnixTime::from_secs(u64::MAX);
        assert_eq!((end.to_i64(), end.to_timestamp()), (i64::MAX, jiff::Timestamp::MAX));
    }
}
