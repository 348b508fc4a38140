//! Where audit events go, and who watches over challenges that nobody meets.
//!
//! Invariant: of who has met a challenge with an authenticator's code at another gateway on the same store nothing is
//! told.

use std::{
    rc::Rc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    sync::mpsc::{self, error::TryRecvError},
    task::spawn_local,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::warn;

use super::AppError;
use crate::{
    config::Settings,
    step_up::{Clock as _, EnrolmentRegistry as _, StoreError},
    store::Store,
    telemetry::{
        AuditLog, AuditTarget, ChallengeNews, Challenges, EventSender, Metrics, OpenChallenges, SystemClock,
        write_events,
    },
    types::{SubjectId, UnixTime},
};

/// News that wait.
const NEWS_MAX: usize = 16 * 1024;
/// How often news are taken. Whoever tells them does not wake anybody, which would cost a grant a call to the system.
const HEARD_EVERY: Duration = Duration::from_millis(250);
/// How often it is looked who has been waited for too long.
const INTERVAL: Duration = Duration::from_secs(5);

/// What there is to be done for the audit beside the data plane.
pub(super) struct Auditing {
    to_store: Option<mpsc::Receiver<String>>,
    writer: Option<JoinHandle<()>>,
    watched: Option<(mpsc::Receiver<ChallengeNews>, Duration)>,
}

impl Auditing {
    /// Opens what events are written to.
    pub(super) fn open(settings: &Settings, metrics: &Metrics) -> Result<(Self, AuditLog), AppError> {
        let (mut to_store, mut writer) = (None, None);
        let events = match &settings.audit {
            AuditTarget::Log => None,
            target @ (AuditTarget::Redis | AuditTarget::Stdout | AuditTarget::File(_)) => {
                let (sender, events) = EventSender::queue(metrics.clone());
                if *target == AuditTarget::Redis {
                    to_store = Some(events);
                } else {
                    let opened = write_events(events, target.clone(), metrics.clone());
                    writer = Some(opened.map_err(|source| match target {
                        AuditTarget::File(file) => AppError::AuditFile { path: file.path.clone(), source },
                        AuditTarget::Log | AuditTarget::Stdout | AuditTarget::Redis => source.into(),
                    })?);
                }
                Some(sender)
            }
        };
        let (news, heard) = mpsc::channel(NEWS_MAX);
        let watched = settings.abandoned_after.map(|after| (heard, after));
        let log = AuditLog::new(metrics.clone(), events, watched.is_some().then_some(news));
        Ok((Self { to_store, writer, watched }, log))
    }

    /// Starts what is done on the control thread. It ends with the last of those who record.
    pub(super) fn start(&mut self, store: &Rc<Store>, log: &AuditLog) {
        if let Some(events) = self.to_store.take() {
            spawn_local(keep(events, Rc::clone(store), log.metrics().clone()));
        }
        if let Some((heard, after)) = self.watched.take() {
            spawn_local(watch(heard, after, Rc::clone(store), log.clone()));
        }
    }

    /// Waits until everything is written. Nobody may be left who records.
    pub(super) fn finish(self) -> thread::Result<()> {
        self.writer.map_or(Ok(()), JoinHandle::join)
    }
}

/// Takes audit events from their queue to the store.
async fn keep(mut events: mpsc::Receiver<String>, store: Rc<Store>, metrics: Metrics) {
    let mut was_kept = true;
    while let Some(event) = events.recv().await {
        let kept = store.keep_event(&event).await;
        if let Err(error) = &kept {
            metrics.audit_event_lost();
            if was_kept {
                warn!(error = error as &dyn std::error::Error, "audit events cannot be kept");
            }
        }
        was_kept = kept.is_ok();
    }
}

/// Watches until the last sender is gone.
async fn watch(mut news: mpsc::Receiver<ChallengeNews>, after: Duration, store: Rc<Store>, audit: AuditLog) {
    let mut challenges = OpenChallenges::new(after);
    let look_every = INTERVAL.min(after);
    let mut ticks = interval(HEARD_EVERY.min(after));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looked = Instant::now();
    loop {
        ticks.tick().await;
        loop {
            match news.try_recv() {
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => break,
                Ok(news) => challenges.hear(news),
            }
        }
        if looked.elapsed() < look_every {
            continue;
        }
        looked = Instant::now();
        for (subject, abandoned) in challenges.take_abandoned(SystemClock.now()) {
            let Challenges { since, count } = abandoned;
            match was_met(&store, &subject, since).await {
                Ok(true) => {}
                Ok(false) => audit.abandoned(&subject, count, since),
                // The store says it another time.
                Err(_) => challenges.put_back(subject, abandoned),
            }
        }
    }
}

/// Whether the store knows of a code of an authenticator that was accepted since: by another gateway, say. Of recovery
/// codes and devices it does not know when they were.
async fn was_met(store: &Store, subject: &SubjectId, since: UnixTime) -> Result<bool, StoreError> {
    let status = store.status(subject).await?;
    let parameters = |id: &str| status.factors.iter().find(|factor| factor.id == id)?.parameters;
    Ok(status.ledger.used.iter().any(|(factor, used)| {
        let window_secs = parameters(factor.as_str()).map_or(0, |of| of.window_secs());
        used.accepted_at(window_secs) >= since
    }))
}
