//! Takes what is due from the store, asks the upstream, and settles it with the store.

use std::{rc::Rc, time::Duration};

use futures_util::future::join_all;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{RevocationChannel, answer::Verdict, backlog::Backlog, backoff::delay_secs};
use crate::{
    step_up::{Clock, DueRevocation, RevocationOutcome, RevocationQueue, StoreError},
    types::limits::REVOCATION_AGE_SECS_MAX,
};

/// Revocations that are under way at once.
const AT_ONCE_MAX: usize = 8;
/// For how long no other gateway takes what this one has taken: two tokens, with time for the store. Seconds.
const LEASE_SECS: u64 = 60;
/// How long an upstream is left alone that revoked none of so many: a long backlog must not be its next trouble.
const PAUSE_AFTER_FAILURES: Duration = Duration::from_secs(5);
/// How often the store is asked for what became due, or was left by another gateway.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Revoker<Q, C> {
    pub(super) channel: RevocationChannel,
    pub(super) queue: Rc<Q>,
    pub(super) clock: C,
    pub(super) backlog: Rc<Backlog>,
    /// Told whenever something was kept.
    pub(super) kept: Rc<Notify>,
}

/// What came of one look into the store.
struct Round {
    taken: usize,
    failed: usize,
}

impl<Q: RevocationQueue, C: Clock> Revoker<Q, C> {
    /// Revokes for as long as it is polled.
    pub(super) async fn run(self) {
        let mut store_failed = false;
        loop {
            let round = self.round().await;
            if let Err(error) = &round
                && !store_failed
            {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "the store cannot be asked for tokens that are to be revoked"
                );
            }
            store_failed = round.is_err();
            match round {
                Ok(Round { taken, failed }) if taken == AT_ONCE_MAX && failed < taken => {}
                Ok(Round { taken: AT_ONCE_MAX, .. }) => sleep(PAUSE_AFTER_FAILURES).await,
                // Whichever comes first; both are only reasons to look.
                Ok(_) | Err(_) => drop(timeout(INTERVAL, self.kept.notified()).await),
            }
        }
    }

    /// Takes and settles some of what is due.
    async fn round(&self) -> Result<Round, StoreError> {
        self.backlog.set_stored(self.queue.backlog().await?);
        let due = self.queue.claim(self.clock.now(), LEASE_SECS, AT_ONCE_MAX).await?;
        let taken = due.len();
        let outcomes = join_all(due.iter().map(|due| self.revoke(due))).await;
        let failed = outcomes.iter().filter(|outcome| **outcome == RevocationOutcome::Retried).count();
        if taken > 0 {
            self.backlog.set_stored(self.queue.backlog().await?);
        }
        Ok(Round { taken, failed })
    }

    async fn revoke(&self, due: &DueRevocation) -> RevocationOutcome {
        let verdict = match &due.orphan {
            Ok(orphan) => self.channel.revoke(&due.id, orphan).await,
            Err(fault) => {
                tracing::error!(id = %due.id, error = fault as &dyn std::error::Error,
                    "a withheld token cannot be revoked");
                Verdict::Again
            }
        };
        let outcome = match verdict {
            Verdict::Done => RevocationOutcome::Revoked,
            Verdict::Unsupported => RevocationOutcome::Unsupported,
            Verdict::Again if due.age_secs >= REVOCATION_AGE_SECS_MAX => {
                tracing::error!(id = %due.id, attempts = due.attempts, age_secs = due.age_secs,
                    "the revocation of a withheld token is given up");
                RevocationOutcome::GivenUp
            }
            Verdict::Again => RevocationOutcome::Retried,
        };
        let settled = if outcome == RevocationOutcome::Retried {
            let attempts = due.attempts.saturating_add(1);
            // Without randomness all gateways wait equally long, which is no reason not to wait.
            let delay_secs = delay_secs(attempts, getrandom::u64().unwrap_or(u64::MAX));
            self.queue.postpone(&due.id, self.clock.now(), delay_secs, attempts).await
        } else {
            self.queue.finish(&due.id).await.inspect(|()| self.backlog.one_is_settled())
        };
        if let Err(error) = settled {
            tracing::warn!(id = %due.id, error = &error as &dyn std::error::Error,
                "a revocation could not be settled with the store: it will be done again");
        }
        self.backlog.count(outcome, 1);
        outcome
    }
}
