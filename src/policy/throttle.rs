//! How many token requests a client may send: the generic cell rate algorithm (ITU-T I.371 annex A), which keeps one
//! number a client: the time at which the next request is due.

/// The rate, and what may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// Requests in a minute, in the long run.
    pub per_minute: u32,
    /// Requests at once, after a pause.
    pub burst: u32,
}

/// Whether a request may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It may.
    Free,
    /// It may not, before so many milliseconds are over.
    In(u64),
}

impl Throttle {
    /// Milliseconds from one request to the next, in the long run.
    pub fn interval_ms(self) -> u64 {
        60_000_u64.div_ceil(u64::from(self.per_minute.max(1)))
    }

    /// Milliseconds by which requests may be early.
    pub fn tolerance_ms(self) -> u64 {
        self.interval_ms() * u64::from(self.burst.saturating_sub(1))
    }

    /// Judges a request, and says when the next one is due.
    pub fn step(self, due_ms: Option<u64>, now_ms: u64) -> (Passage, u64) {
        let due = due_ms.unwrap_or(now_ms).max(now_ms);
        match due.saturating_sub(now_ms).checked_sub(self.tolerance_ms()) {
            None | Some(0) => (Passage::Free, due + self.interval_ms()),
            Some(early) => (Passage::In(early), due),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_an_interval() {
        let throttle = Throttle { per_minute: 60, burst: 5 };
        let mut due = None;
        let mut ask = |now| {
            let (passage, next) = throttle.step(due, now);
            due = Some(next);
            passage
        };
        assert_eq!([0; 5].map(&mut ask), [Passage::Free; 5]);
        assert_eq!(ask(0), Passage::In(1000));
        assert_eq!(ask(400), Passage::In(600));
        assert_eq!(ask(1000), Passage::Free);
        assert_eq!(ask(1001), Passage::In(999));
        // After a long pause there is a burst again, and no more.
        assert_eq!([100_000; 5].map(&mut ask), [Passage::Free; 5]);
        assert_eq!(ask(100_000), Passage::In(1000));
    }
}
