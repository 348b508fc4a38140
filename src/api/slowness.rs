//! Makes refusals slow, and bounds them.
//!
//! Invariants: whoever has a right token or certificate never waits, whatever others try; a flood of wrong ones costs
//! one digest each, and a bounded number of log lines a second, even if whoever sends them does not stay for the
//! answer.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::task::spawn_local;

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
pub(super) struct Place {
    slowness: Rc<Slowness>,
    /// Failures that were not logged.
    pub(super) untold: u64,
}

impl Slowness {
    /// A place, if there is one.
    pub(super) fn place(self: &Rc<Self>) -> Option<Place> {
        if self.waiting.get() >= WAITING_MAX {
            self.untold.set(self.untold.get().saturating_add(1));
            return None;
        }
        self.waiting.set(self.waiting.get() + 1);
        Some(Place { slowness: Rc::clone(self), untold: self.untold.take() })
    }
}

impl Place {
    /// Waits. The place is taken until then, also when nobody waits any more.
    pub(super) async fn wait(self) {
        let pause = spawn_local(async move {
            tokio::time::sleep(PAUSE).await;
            drop(self);
        });
        // It ends early with the process alone.
        let _ = pause.await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.slowness.waiting.set(self.slowness.waiting.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, LocalOptions};

    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let slowness = Rc::new(Slowness::default());
        let places: Vec<_> = std::iter::from_fn(|| slowness.place()).collect();
        assert_eq!((places.len(), slowness.place().is_some()), (WAITING_MAX, false));
        drop(places);
        assert_eq!(slowness.place().unwrap().untold, 2);
        assert_eq!(slowness.place().unwrap().untold, 0);
    }

    #[test]
    fn a_place_is_taken_for_its_time_whether_the_client_stays_or_not() {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let slowness = Rc::new(Slowness::default());
            let waiting = slowness.place().unwrap().wait();
            assert!(tokio::time::timeout(PAUSE / 10, waiting).await.is_err());
            assert_eq!(slowness.waiting.get(), 1);
            slowness.place().unwrap().wait().await;
            assert_eq!(slowness.waiting.get(), 0);
        });
    }
}
