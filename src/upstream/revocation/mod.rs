//! Revokes upstream what was issued, withheld and not released.
//!
//! Invariants: the data plane hands an orphan over without waiting and goes on; an orphan is kept before it is
//! sent, and forgotten when the upstream has answered for each of its tokens; every queue, batch, wait and
//! retry has a named bound; no token or credential is in a log line or an error.

mod answer;
mod backlog;
mod backoff;
mod channel;
mod endpoint;
mod inbox;
mod keeper;
mod request;
mod revoker;

use std::{cell::Cell, rc::Rc, sync::Arc};

use tokio::{sync::Notify, task::JoinHandle};

use self::{backlog::Backlog, keeper::Keeper, revoker::Revoker};
pub use self::{
    channel::RevocationChannel,
    endpoint::{
        RevocationClient, RevocationEndpoint, RevocationSettings, RevocationStyle, RevocationUrlFault,
    },
    inbox::{OrphanInbox, OrphanSender, orphans},
};
use crate::step_up::{Clock, RevocationMeter, RevocationQueue};

/// Two tasks on the runtime that starts them: one keeps orphans, one revokes what is kept.
pub struct RevocationWorker {
    keeping: JoinHandle<()>,
    revoking: JoinHandle<()>,
}

impl RevocationWorker {
    /// Starts both, within a local runtime.
    pub fn start<Q, C>(
        channel: RevocationChannel,
        inbox: OrphanInbox,
        queue: &Rc<Q>,
        clock: C,
        meter: Arc<dyn RevocationMeter>,
    ) -> Self
    where
        Q: RevocationQueue + 'static,
        C: Clock + Clone + 'static,
    {
        let backlog = Rc::new(Backlog::new(meter));
        let kept = Rc::new(Notify::new());
        let keeper = Keeper {
            inbox,
            queue: Rc::clone(queue),
            clock: clock.clone(),
            backlog: Rc::clone(&backlog),
            kept: Rc::clone(&kept),
            store_failed: Cell::default(),
        };
        let revoker = Revoker { channel, queue: Rc::clone(queue), clock, backlog, kept };
        Self {
            keeping: tokio::task::spawn_local(keeper.run()),
            revoking: tokio::task::spawn_local(revoker.run()),
        }
    }

    /// Returns when everything that was handed over is kept. All [`OrphanSender`]s must be gone. What is on its
    /// way upstream is not waited for: it is asked again by whoever starts next.
    pub async fn stop(self) {
        self.revoking.abort();
        if let Err(error) = self.keeping.await {
            tracing::error!(%error, "withheld tokens may not have been kept for their revocation");
        }
    }
}
