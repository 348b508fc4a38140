//! Takes orphans in and puts them into the store; holds a bounded number of them while it does not answer.

use std::{cell::Cell, collections::VecDeque, rc::Rc, time::Duration};

use futures_util::future::join_all;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use super::{OrphanInbox, backlog::Backlog};
use crate::step_up::{
    Clock, Orphan, Revocation, RevocationId, RevocationOutcome, RevocationQueue, StoreError,
};

/// Orphans that are held while the store does not take them; more wait on their way.
const HELD_MAX: usize = 1024;
/// Orphans that are put into the store at once, so that the embedded one commits them together.
const BATCH_MAX: usize = 64;
/// How long a store that failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end of the process may be put off for what is held.
const STOP_MAX: Duration = Duration::from_secs(5);

pub(super) struct Keeper<Q, C> {
    pub(super) inbox: OrphanInbox,
    pub(super) queue: Rc<Q>,
    pub(super) clock: C,
    pub(super) backlog: Rc<Backlog>,
    /// Told whenever something was kept.
    pub(super) kept: Rc<Notify>,
    /// Whether that was said.
    pub(super) store_failed: Cell<bool>,
}

impl<Q: RevocationQueue, C: Clock> Keeper<Q, C> {
    /// Keeps until all senders are gone, and then what is left.
    pub(super) async fn run(mut self) {
        let mut held = VecDeque::new();
        let mut rests_until = None;
        loop {
            let has_place = held.len() < HELD_MAX;
            tokio::select! {
                received = self.inbox.0.recv(), if has_place => match received {
                    Some(orphan) => self.hold(&mut held, orphan),
                    None => break,
                },
                () = until(rests_until), if rests_until.is_some() => rests_until = None,
            }
            while held.len() < HELD_MAX
                && let Ok(orphan) = self.inbox.0.try_recv()
            {
                self.hold(&mut held, orphan);
            }
            if rests_until.is_none() && self.keep(&mut held).await.is_err() {
                rests_until = Some(Instant::now() + PAUSE);
            }
            self.backlog.set_held(held.len());
            if held.len() >= HELD_MAX && self.inbox.0.is_closed() {
                break;
            }
        }
        self.finish(held).await;
    }

    async fn finish(&mut self, mut held: VecDeque<Revocation>) {
        while let Ok(orphan) = self.inbox.0.try_recv() {
            self.hold(&mut held, orphan);
        }
        let all = async {
            while self.keep(&mut held).await.is_err() {
                sleep(PAUSE).await;
            }
        };
        if tokio::time::timeout(STOP_MAX, all).await.is_err() {
            tracing::error!(
                tokens = held.len(),
                "the store did not take withheld tokens before the end: they live until they expire"
            );
            self.backlog.count(RevocationOutcome::Lost, held.len() as u64);
        }
    }

    fn hold(&self, held: &mut VecDeque<Revocation>, orphan: Orphan) {
        let mut id = [0; 16];
        match getrandom::fill(&mut id) {
            Ok(()) => held.push_back(Revocation { id: RevocationId::from_random(id), orphan }),
            Err(error) => {
                tracing::error!(%error, "a withheld token will not be revoked, and lives until it expires");
                self.backlog.count(RevocationOutcome::Lost, 1);
            }
        }
    }

    /// Puts what is held into the store; what the store does not take stays.
    async fn keep(&self, held: &mut VecDeque<Revocation>) -> Result<(), StoreError> {
        while !held.is_empty() {
            let batch: Vec<&Revocation> = held.iter().take(BATCH_MAX).collect();
            let count = batch.len();
            let now = self.clock.now();
            let pushed = join_all(batch.iter().map(|revocation| self.queue.push(revocation, now))).await;
            let mut failed = None;
            let mut left = VecDeque::new();
            for (revocation, pushed) in held.drain(..count).zip(pushed) {
                match pushed {
                    Ok(dropped) => self.tell_of_dropped(dropped),
                    // It would be refused again.
                    Err(error @ StoreError::Refused(_)) => {
                        tracing::error!(id = %revocation.id, %error, "a withheld token will not be revoked");
                        self.backlog.count(RevocationOutcome::Lost, 1);
                    }
                    Err(error) => {
                        left.push_back(revocation);
                        failed = Some(error);
                    }
                }
            }
            self.kept.notify_one();
            if let Some(error) = failed {
                left.append(held);
                *held = left;
                if !self.store_failed.replace(true) {
                    tracing::warn!(
                        held = held.len(),
                        error = &error as &dyn std::error::Error,
                        "withheld tokens that are to be revoked cannot be kept at the moment"
                    );
                }
                return Err(error);
            }
            self.store_failed.set(false);
        }
        Ok(())
    }

    fn tell_of_dropped(&self, dropped: u64) {
        if dropped > 0 {
            tracing::error!(
                tokens = dropped,
                "too many withheld tokens wait for their revocation: the oldest were dropped"
            );
            self.backlog.count(RevocationOutcome::Lost, dropped);
        }
    }
}

async fn until(instant: Option<Instant>) {
    if let Some(instant) = instant {
        sleep_until(instant).await;
    }
}
