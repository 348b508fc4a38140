//! A pause after a failure, so that a dead Redis costs one timeout and not one each.
//!
//! Invariants: while it is open nobody tries; then one tries for all; each failure in a row makes the pause longer,
//! up to a bound; pauses are drawn at random, so that threads and gateways do not all come back at once. What one
//! thread finds to be back, the others try at once.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The longest possible pause after the first failure.
const FIRST: Duration = Duration::from_millis(100);
/// The longest possible pause.
const LONGEST: Duration = Duration::from_secs(2);

/// Why nobody tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Unreachable,
    TimedOut,
}

/// How often each place was found to be there, by any thread of the process.
#[derive(Debug, Clone, Default)]
pub(super) struct Returns(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Returns {
    /// The count for one place. The lock is taken when it is first spoken of, never for a request.
    pub(super) fn of(&self, place: String) -> Arc<AtomicU64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(counts.entry(place).or_default())
    }
}

#[derive(Debug)]
pub(super) struct Breaker {
    /// Failures in a row.
    failures: Cell<u32>,
    tripped: Cell<Option<Trip>>,
    returns: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy)]
struct Trip {
    until: Instant,
    reason: Reason,
    /// The count of returns before it.
    returns: u64,
}

impl Breaker {
    pub(super) fn new(returns: Arc<AtomicU64>) -> Self {
        Self { failures: Cell::default(), tripped: Cell::default(), returns }
    }

    fn tripped(&self) -> Option<Trip> {
        self.tripped.get().filter(|trip| trip.returns == self.returns.load(Ordering::Acquire))
    }

    /// Why nobody may try yet.
    pub(super) fn is_open(&self) -> Option<Reason> {
        self.tripped().filter(|trip| Instant::now() < trip.until).map(|trip| trip.reason)
    }

    /// Why only one may try: the last one failed.
    pub(super) fn is_half_open(&self) -> Option<Reason> {
        self.tripped().map(|trip| trip.reason)
    }

    pub(super) fn trip(&self, reason: Reason) {
        let random = getrandom::u64().unwrap_or(u64::MAX);
        let until = Instant::now() + pause(self.failures.get(), random);
        self.tripped.set(Some(Trip { until, reason, returns: self.returns.load(Ordering::Acquire) }));
        self.failures.set(self.failures.get().saturating_add(1));
    }

    /// It can be reached again. The next failure is still one more in a row.
    pub(super) fn close(&self) {
        self.tripped.set(None);
        self.returns.fetch_add(1, Ordering::AcqRel);
    }

    /// It works again.
    pub(super) fn reset(&self) {
        self.failures.set(0);
    }
}

/// The pause after so many failures before this one: from half to all of what doubles each time.
pub(super) fn pause(failures: u32, random: u64) -> Duration {
    let longest = FIRST.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(LONGEST);
    jittered(longest, random)
}

/// From half of a time to all of it.
pub(super) fn jittered(longest: Duration, random: u64) -> Duration {
    let half = longest / 2;
    let span = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_micros(random % span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_two_seconds_and_are_never_short() {
        let most = |failures| (0..2000).map(|n| pause(failures, n * 499)).max().unwrap();
        let least = |failures| (0..2000).map(|n| pause(failures, n * 499)).min().unwrap();
        for (failures, millis) in [(0, 100), (1, 200), (2, 400), (4, 1600), (5, 2000), (31, 2000), (99, 2000)]
        {
            assert_eq!(least(failures).as_millis(), millis / 2, "{failures}");
            assert!((millis * 9 / 10..millis).contains(&most(failures).as_millis()), "{failures}");
        }
    }

    #[test]
    fn one_may_try_when_the_pause_is_over_and_all_when_that_one_succeeded() {
        let returns = Returns::default();
        let here = Breaker::new(returns.of("a".into()));
        let in_another_thread = Breaker::new(returns.of("a".into()));
        let elsewhere = Breaker::new(returns.of("b".into()));
        let all = [&here, &in_another_thread, &elsewhere];
        assert!(all.iter().all(|breaker| breaker.is_open().is_none() && breaker.is_half_open().is_none()));
        for breaker in all {
            breaker.trip(Reason::TimedOut);
        }
        assert!(all.iter().all(|breaker| breaker.is_open() == Some(Reason::TimedOut)));
        here.close();
        assert_eq!(all.map(Breaker::is_open), [None, None, Some(Reason::TimedOut)]);
        assert_eq!(all.map(Breaker::is_half_open), [None, None, Some(Reason::TimedOut)]);
        assert_eq!(here.failures.get(), 1);
        here.reset();
        assert_eq!(here.failures.get(), 0);
        in_another_thread.trip(Reason::Unreachable);
        assert_eq!(in_another_thread.is_open(), Some(Reason::Unreachable));
    }
}
