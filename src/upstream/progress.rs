//! How a request's body comes on: whether its client sends it, and whether the upstream is waited for.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::time::Instant;

use super::UpstreamError;

/// What a client may take for the body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// Bytes at most.
    pub bytes_max: u64,
    /// For how long none may come, while the upstream would take some.
    pub silence_max: Duration,
    /// Bytes in a second, on the average, once `silence_max` was waited for altogether.
    pub bytes_per_sec_min: u64,
}

impl UploadLimits {
    /// For bodies that are here whole.
    pub const NONE: Self = Self { bytes_max: u64::MAX, silence_max: Duration::MAX, bytes_per_sec_min: 0 };
}

impl Default for UploadLimits {
    /// A gibibyte, 30 s, and 500 bytes in a second.
    fn default() -> Self {
        Self { bytes_max: 1 << 30, silence_max: Duration::from_secs(30), bytes_per_sec_min: 500 }
    }
}

/// Why a body is read no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadFault {
    /// It is too large.
    #[error("the body of the request has more than {0} bytes")]
    TooLarge(u64),
}

/// When a request's body last moved, for the time an upstream is given starts then.
#[derive(Debug, Clone)]
pub struct Progress(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: UploadLimits,
    started: Instant,
    last: Cell<Instant>,
    bytes: Cell<u64>,
    /// Since when the client is waited for, if it is.
    waits_since: Cell<Option<Instant>>,
    /// How long it was waited for before.
    waited: Cell<Duration>,
    fault: Cell<Option<UploadFault>>,
}

/// Who is late, and when.
#[derive(Debug, Clone, Copy)]
pub(super) enum Late {
    /// The upstream with its answer.
    Upstream(Instant, Duration),
    /// The client with its body.
    Client(Instant),
}

impl Late {
    pub(super) const fn at(self) -> Instant {
        match self {
            Self::Upstream(at, _) | Self::Client(at) => at,
        }
    }
}

impl From<Late> for UpstreamError {
    fn from(late: Late) -> Self {
        match late {
            Late::Upstream(_, limit) => Self::Timeout(limit),
            Late::Client(_) => Self::SlowUpload,
        }
    }
}

impl Progress {
    /// It moves now.
    pub fn start(limits: UploadLimits) -> Self {
        let started = Instant::now();
        Self(Rc::new(Inner {
            limits,
            started,
            last: Cell::new(started),
            bytes: Cell::new(0),
            waits_since: Cell::new(None),
            waited: Cell::new(Duration::ZERO),
            fault: Cell::new(None),
        }))
    }

    /// When it began.
    pub(super) fn started(&self) -> Instant {
        self.0.started
    }

    /// What was wrong with the body, if something was.
    pub fn fault(&self) -> Option<UploadFault> {
        self.0.fault.get()
    }

    /// When somebody will be late, if nothing moves until then.
    pub(super) fn late(&self, answer_max: Duration) -> Late {
        let inner = &self.0;
        match inner.waits_since.get() {
            None => Late::Upstream(inner.last.get() + answer_max, answer_max),
            Some(since) => {
                let limits = &inner.limits;
                let earned = inner.bytes.get().checked_div(limits.bytes_per_sec_min);
                let earned = earned.map_or(Duration::MAX, Duration::from_secs);
                let left = limits.silence_max.saturating_add(earned).saturating_sub(inner.waited.get());
                let wait = left.min(limits.silence_max);
                Late::Client(since.checked_add(wait).unwrap_or_else(|| since + answer_max))
            }
        }
    }

    /// When it is worth asking again who is late: nobody is told when the client begins to be waited for.
    pub(super) fn look_at(&self, answer_max: Duration) -> Instant {
        let at = self.late(answer_max).at();
        Instant::now().checked_add(self.0.limits.silence_max).map_or(at, |soon| at.min(soon))
    }

    /// The client has nothing for the upstream at the moment.
    pub(super) fn waits(&self) {
        if self.0.waits_since.get().is_none() {
            self.0.waits_since.set(Some(Instant::now()));
        }
    }

    /// So many bytes have come, or the end.
    pub(super) fn moved(&self, bytes: usize) -> Result<(), UploadFault> {
        let inner = &self.0;
        let now = Instant::now();
        inner.last.set(now);
        if let Some(since) = inner.waits_since.take() {
            inner.waited.set(inner.waited.get() + (now - since));
        }
        inner.bytes.set(inner.bytes.get() + bytes as u64);
        if inner.bytes.get() > inner.limits.bytes_max {
            let fault = UploadFault::TooLarge(inner.limits.bytes_max);
            inner.fault.set(Some(fault));
            return Err(fault);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::{runtime::Builder, time::advance};

    use super::*;

    fn paused(test: impl Future<Output = ()>) {
        Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test);
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_trickle_is_late_after_the_silence_that_it_may_have_altogether() {
        paused(async {
            let progress = Progress::start(UploadLimits::default());
            let start = Instant::now();
            let mut rounds = 0;
            loop {
                progress.waits();
                advance(SECOND).await;
                if progress.late(60 * SECOND).at() <= Instant::now() {
                    break;
                }
                progress.moved(1).unwrap();
                rounds += 1;
            }
            assert!(matches!(progress.late(60 * SECOND), Late::Client(_)));
            assert_eq!((rounds, start.elapsed()), (29, 30 * SECOND));
        });
    }

    #[test]
    fn who_sends_enough_has_time_and_who_is_silent_has_not() {
        paused(async {
            let progress = Progress::start(UploadLimits::default());
            for _ in 0..1000 {
                progress.waits();
                advance(SECOND).await;
                progress.moved(501).unwrap();
            }
            progress.waits();
            assert_eq!(progress.late(60 * SECOND).at() - Instant::now(), 30 * SECOND);
        });
    }

    #[test]
    fn an_upstream_that_takes_nothing_is_not_the_clients_fault() {
        paused(async {
            let progress = Progress::start(UploadLimits::default());
            progress.moved(100).unwrap();
            assert!(
                matches!(progress.late(60 * SECOND), Late::Upstream(at, _) if at - Instant::now() == 60 * SECOND)
            );
        });
    }

    #[test]
    fn too_much_is_too_much() {
        let progress = Progress::start(UploadLimits { bytes_max: 10, ..UploadLimits::default() });
        progress.moved(10).unwrap();
        assert_eq!(progress.moved(1), Err(UploadFault::TooLarge(10)));
        assert_eq!(progress.fault(), Some(UploadFault::TooLarge(10)));
    }
}
