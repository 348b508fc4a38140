//! Who may use a connection to the upstream, and who waits for one.
//!
//! Invariants: when it gets tight, uploads are shed first, then everything else that merely passes, and log-ins last;
//! every wait has a bound, and so has their number; whoever waits longest is next among its kind.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::{sync::Notify, time::timeout};

use super::UpstreamError;

/// One in so many connections is kept from each kind of request that has to stand back for another, and one in so many
/// waits from all but log-ins.
const RESERVED_PART: usize = 8;

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A request of the gateway's own: a log-in.
    Own,
    /// A request that passes.
    Relay,
    /// One with a body that a client may take its time to send.
    Upload,
}

impl Use {
    /// Who is served first comes first.
    const ALL: [Self; 3] = [Self::Own, Self::Relay, Self::Upload];

    const fn index(self) -> usize {
        match self {
            Self::Own => 0,
            Self::Relay => 1,
            Self::Upload => 2,
        }
    }
}

/// The places of one pool.
#[derive(Debug)]
pub(super) struct Slots {
    places_max: usize,
    queue_max: usize,
    queue_timeout: Duration,
    in_use: [Cell<usize>; 3],
    waiting: [Cell<usize>; 3],
    freed: [Notify; 3],
}

impl Slots {
    pub(super) fn new(places_max: usize, queue_max: usize, queue_timeout: Duration) -> Rc<Self> {
        Rc::new(Self {
            places_max,
            queue_max,
            queue_timeout,
            in_use: Default::default(),
            waiting: Default::default(),
            freed: Default::default(),
        })
    }

    /// A place, at once or after a wait.
    pub(super) async fn enter(self: &Rc<Self>, what: Use) -> Result<Slot, UpstreamError> {
        if self.has_room(what) && self.waiting[what.index()].get() == 0 {
            return Ok(Slot::new(self, what));
        }
        // Boxed, for it is rare.
        Box::pin(self.wait(what)).await
    }

    async fn wait(self: &Rc<Self>, what: Use) -> Result<Slot, UpstreamError> {
        if self.waiting.iter().map(Cell::get).sum::<usize>() >= self.queue_max(what) {
            return Err(UpstreamError::Exhausted(self.places_max));
        }
        let _waiting = Counted::new(self, what);
        let room = async {
            loop {
                // Whoever comes too late hands what it was told to the next one.
                self.freed[what.index()].notified().await;
                if self.has_room(what) {
                    return Slot::new(self, what);
                }
            }
        };
        timeout(self.queue_timeout, room).await.map_err(|_| UpstreamError::Exhausted(self.places_max))
    }

    /// Who may wait at once, when one more of this kind comes.
    const fn queue_max(&self, what: Use) -> usize {
        match what {
            Use::Own => self.queue_max,
            Use::Relay | Use::Upload => self.queue_max - self.queue_max / RESERVED_PART,
        }
    }

    fn has_room(&self, what: Use) -> bool {
        let used = |uses: &[Use]| uses.iter().map(|what| self.in_use[what.index()].get()).sum::<usize>();
        let reserve = self.places_max.div_ceil(RESERVED_PART);
        // Of very few, one is for everybody.
        let left = |reserves: usize| self.places_max.saturating_sub(reserves * reserve).max(1);
        used(&Use::ALL) < self.places_max
            && match what {
                Use::Own => true,
                Use::Relay => used(&[Use::Relay, Use::Upload]) < left(1),
                Use::Upload => used(&[Use::Relay, Use::Upload]) < left(1) && used(&[Use::Upload]) < left(2),
            }
    }

    /// Tells the first one who can use what has become free.
    fn tell(&self) {
        for what in Use::ALL {
            if self.waiting[what.index()].get() > 0 && self.has_room(what) {
                self.freed[what.index()].notify_one();
                return;
            }
        }
    }
}

/// A place, for as long as it is in use.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Rc<Slots>,
    what: Use,
}

impl Slot {
    fn new(slots: &Rc<Slots>, what: Use) -> Self {
        let in_use = &slots.in_use[what.index()];
        in_use.set(in_use.get() + 1);
        Self { slots: Rc::clone(slots), what }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let in_use = &self.slots.in_use[self.what.index()];
        in_use.set(in_use.get().saturating_sub(1));
        self.slots.tell();
    }
}

/// One who waits.
struct Counted<'a>(&'a Slots, Use);

impl<'a> Counted<'a> {
    fn new(slots: &'a Slots, what: Use) -> Self {
        let waiting = &slots.waiting[what.index()];
        waiting.set(waiting.get() + 1);
        Self(slots, what)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let waiting = &self.0.waiting[self.1.index()];
        waiting.set(waiting.get().saturating_sub(1));
        // It may have been told of room that it does not use.
        self.0.tell();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::runtime::Builder;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn at_once(slots: &Rc<Slots>, what: Use) -> Option<Slot> {
        slots.enter(what).now_or_never().and_then(Result::ok)
    }

    #[test]
    fn uploads_are_shed_before_what_passes_and_that_before_log_ins() {
        let slots = Slots::new(16, 0, PATIENCE);
        let take = |what| {
            let mut taken = Vec::new();
            while let Some(slot) = at_once(&slots, what) {
                taken.push(slot);
            }
            taken
        };
        let uploads = take(Use::Upload);
        let relays = take(Use::Relay);
        let own = take(Use::Own);
        assert_eq!((uploads.len(), relays.len(), own.len()), (12, 2, 2));
        drop(own);
        assert!(at_once(&slots, Use::Relay).is_none());
        assert_eq!(take(Use::Own).len(), 2);
    }

    #[test]
    fn of_one_connection_everybody_may_have_it() {
        let slots = Slots::new(1, 0, PATIENCE);
        for what in Use::ALL {
            let taken = at_once(&slots, what);
            assert!(taken.is_some() && at_once(&slots, Use::Own).is_none(), "{what:?}");
        }
    }

    #[test]
    fn whoever_waits_is_served_in_turn_and_log_ins_first() {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let slots = Slots::new(1, 3, PATIENCE);
            let first = slots.enter(Use::Relay).await.unwrap();
            let mut relay = Box::pin(slots.enter(Use::Relay));
            let mut given_up = Box::pin(slots.enter(Use::Own));
            let mut own = Box::pin(slots.enter(Use::Own));
            assert!((&mut relay).now_or_never().is_none());
            assert!((&mut given_up).now_or_never().is_none());
            assert!((&mut own).now_or_never().is_none());
            assert!(matches!(slots.enter(Use::Own).await, Err(UpstreamError::Exhausted(1))));
            drop(first);
            // It was told, and leaves.
            drop(given_up);
            let second = own.await.unwrap();
            assert!((&mut relay).now_or_never().is_none());
            drop(second);
            drop(relay.await.unwrap());
        });
    }

    #[test]
    fn what_passes_cannot_fill_the_queue_before_log_ins() {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let slots = Slots::new(1, 8, PATIENCE);
            let _first = at_once(&slots, Use::Own).unwrap();
            let kinds = [Use::Relay, Use::Upload].into_iter().cycle();
            let mut waiting: Vec<_> = kinds.take(7).map(|what| Box::pin(slots.enter(what))).collect();
            assert!(waiting.iter_mut().all(|wait| wait.now_or_never().is_none()));
            assert!(matches!(slots.enter(Use::Relay).await, Err(UpstreamError::Exhausted(1))));
            let mut own = Box::pin(slots.enter(Use::Own));
            assert!((&mut own).now_or_never().is_none());
            assert!(matches!(slots.enter(Use::Own).await, Err(UpstreamError::Exhausted(1))));
        });
    }

    #[test]
    fn a_wait_ends() {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let slots = Slots::new(1, 3, PATIENCE);
            let _first = slots.enter(Use::Own).await.unwrap();
            assert!(matches!(slots.enter(Use::Own).await, Err(UpstreamError::Exhausted(1))));
        });
    }
}
