//! A timer for what is polled often.

use std::{pin::Pin, task::Context, time::Duration};

use tokio::{
    task::coop::has_budget_remaining,
    time::{Instant, Sleep, sleep},
};

/// A timer that costs next to nothing while it has not gone off: its waker is registered once for each time it is
/// set. Whoever asks for it has to be the same task each time.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    is_registered: bool,
}

impl Alarm {
    pub(super) fn after(duration: Duration) -> Self {
        Self { sleep: Box::pin(sleep(duration)), is_registered: false }
    }

    pub(super) fn set(&mut self, duration: Duration) {
        self.sleep.as_mut().reset(Instant::now() + duration);
        self.is_registered = false;
    }

    pub(super) fn has_gone_off(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_registered && !self.sleep.is_elapsed() {
            return false;
        }
        // A task that has used up its turn gets no waker registered.
        self.is_registered = has_budget_remaining();
        self.sleep.as_mut().poll(cx).is_ready()
    }
}
