//! The way from the data plane to whoever keeps orphans.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    step_up::{Orphan, Orphans, RevocationMeter, RevocationOutcome},
    types::limits::ORPHAN_BYTES_MAX,
};

/// Orphans that may be on their way; what comes on top of them is lost.
const WAITING_MAX: usize = 1024;

/// Where orphans arrive.
pub struct OrphanInbox(pub(super) mpsc::Receiver<Orphan>);

/// Where a data-plane thread leaves its orphans. Clones lead to the same inbox.
#[derive(Clone)]
pub struct OrphanSender(Option<Way>);

#[derive(Clone)]
struct Way {
    sender: mpsc::Sender<Orphan>,
    meter: Arc<dyn RevocationMeter>,
}

/// An inbox and the way to it.
pub fn orphans(meter: Arc<dyn RevocationMeter>) -> (OrphanSender, OrphanInbox) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (OrphanSender(Some(Way { sender, meter })), OrphanInbox(receiver))
}

impl OrphanSender {
    /// For a gateway that revokes nothing: orphans live until they expire.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Whether orphans are taken in.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

impl std::fmt::Debug for OrphanSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OrphanSender").field(&self.0.as_ref().map(|_| "on")).finish()
    }
}

impl Orphans for OrphanSender {
    fn abandon(&self, orphan: Orphan) {
        let Some(way) = &self.0 else { return };
        let bytes = orphan.bytes();
        let lost = if orphan.access_token.is_none() && orphan.refresh_token.is_none() {
            Some("it was not found in the answer that issued it")
        } else if bytes > ORPHAN_BYTES_MAX {
            Some("it is too long")
        } else {
            way.sender.try_send(orphan).err().map(|_| "too many wait to be kept")
        };
        if let Some(why) = lost {
            tracing::error!(why, bytes, "a withheld token will not be revoked, and lives until it expires");
            way.meter.count(RevocationOutcome::Lost, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::{step_up::OrphanClient, types::Secret};

    #[derive(Default)]
    struct Losses(AtomicU64);

    impl RevocationMeter for Losses {
        fn count(&self, outcome: RevocationOutcome, revocations: u64) {
            assert_eq!(outcome, RevocationOutcome::Lost);
            self.0.fetch_add(revocations, Ordering::Relaxed);
        }

        fn set_backlog(&self, _: u64) {}
    }

    fn orphan(token: &str) -> Orphan {
        let access_token = Some(Secret::new(token.to_owned()));
        Orphan { access_token, refresh_token: None, client: OrphanClient::default(), host: None }
    }

    #[test]
    fn an_orphan_that_finds_no_place_is_counted_and_nobody_waits() {
        let losses = Arc::new(Losses::default());
        let (sender, inbox) = orphans(Arc::<Losses>::clone(&losses));
        for _ in 0..WAITING_MAX {
            sender.abandon(orphan("t"));
        }
        assert_eq!(losses.0.load(Ordering::Relaxed), 0);
        sender.abandon(orphan("t"));
        sender.abandon(orphan(&"t".repeat(ORPHAN_BYTES_MAX + 1)));
        assert_eq!(losses.0.load(Ordering::Relaxed), 2);
        sender.abandon(Orphan { access_token: None, ..orphan("t") });
        drop(inbox);
        sender.abandon(orphan("t"));
        assert_eq!(losses.0.load(Ordering::Relaxed), 4);
        OrphanSender::off().abandon(orphan("t"));
    }
}
