//! Makes refusals slow, and bounds them.
//!
//! Invariants: whoever has a right token or certificate never waits, whatever others try; a flood of wrong ones costs
//! one digest each, and a bounded number of log lines a second.

use std::{cell::Cell, time::Duration};

/// How long the answer to a failed authentication waits.
const PAUSE: Duration = Duration::from_millis(250);
/// Answers that wait at once; more than that are refused at once, and without a line in the log.
const WAITING_MAX: usize = 16;

/// The failed authentications of one listener.
#[derive(Debug, Default)]
pub(super) struct Slowness {
    waiting: Cell<usize>,
    untold: Cell<u64>,
}

/// A place among the answers that wait, and how many had none since the last one.
#[derive(Debug)]
pub(super) struct Place<'a> {
    slowness: &'a Slowness,
    /// Failures that were not logged.
    pub(super) untold: u64,
}

impl Slowness {
    /// A place, if there is one.
    pub(super) fn place(&self) -> Option<Place<'_>> {
        if self.waiting.get() >= WAITING_MAX {
            self.untold.set(self.untold.get().saturating_add(1));
            return None;
        }
        self.waiting.set(self.waiting.get() + 1);
        Some(Place { slowness: self, untold: self.untold.take() })
    }
}

impl Place<'_> {
    /// Waits.
    pub(super) async fn wait(self) {
        tokio::time::sleep(PAUSE).await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.slowness.waiting.set(self.slowness.waiting.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let slowness = Slowness::default();
        let places: Vec<_> = std::iter::from_fn(|| slowness.place()).collect();
        assert_eq!((places.len(), slowness.place().is_some()), (WAITING_MAX, false));
        drop(places);
        assert_eq!(slowness.place().unwrap().untold, 2);
        assert_eq!(slowness.place().unwrap().untold, 0);
    }
}
