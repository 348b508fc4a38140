//! A new configuration in the place of the old one, without a restart.
//!
//! Invariants: it is validated whole before anything changes, and taken over whole; a bad one changes nothing, and is
//! said with every fault; what cannot change in a running gateway is named, and stays.

use std::{os::unix::fs::MetadataExt as _, path::PathBuf, sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio::{
    signal::unix::Signal,
    sync::watch,
    task::{AbortHandle, spawn_local},
    time::sleep,
};
use tracing::{error, info, warn};

use super::{Reread, data_plane, signals::tell_manager};
use crate::{config::Settings, policy::Enforcement, telemetry::Metrics};

/// How often the files are looked at. Asking for a dozen of them takes some microseconds, and finds what
/// notifications miss: Kubernetes mounts a directory behind two symbolic links and swaps one of them.
const INTERVAL: Duration = Duration::from_secs(1);

/// Reloads for as long as it lives.
pub(super) struct Reloader(AbortHandle);

impl Drop for Reloader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reloader {
    /// Heeds the signal, and the files of the configuration.
    pub(super) fn start(
        reread: Reread,
        current: watch::Sender<Arc<Settings>>,
        metrics: Metrics,
        hang_up: Option<Signal>,
    ) -> Self {
        metrics.config_reloaded_at_start();
        Self(spawn_local(run(reread, current, metrics, hang_up)).abort_handle())
    }
}

async fn run(
    reread: Reread,
    current: watch::Sender<Arc<Settings>>,
    metrics: Metrics,
    mut hang_up: Option<Signal>,
) {
    let mut seen = Files::of(&current.borrow());
    loop {
        let asked = async {
            match &mut hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        let why = tokio::select! {
            _ = asked => "SIGHUP",
            () = seen.changed() => "a file has changed",
        };
        let now = NotifyState::monotonic_usec_now().ok();
        tell_manager(&[NotifyState::Reloading].into_iter().chain(now).collect::<Vec<_>>());
        let is_done = reload(&reread, &current, why);
        metrics.config_reloaded(is_done);
        tell_manager(&[NotifyState::Ready]);
        // Of the old ones where the new are not known: what mends them will be noticed.
        seen = Files::of(&current.borrow());
    }
}

fn reload(reread: &Reread, current: &watch::Sender<Arc<Settings>>, why: &str) -> bool {
    let settings = match reread() {
        Ok(settings) => settings,
        Err(error) => {
            for fault in error.faults() {
                error!(%fault, why, "the configuration is refused, and the old one goes on");
            }
            return false;
        }
    };
    if let Err(error) = data_plane::check(&settings) {
        let error = &error as &dyn std::error::Error;
        error!(error, why, "the configuration is refused, and the old one goes on");
        return false;
    }
    let fixed = settings.fixed.changed_from(&current.borrow().fixed);
    if !fixed.is_empty() {
        warn!(keys = fixed.join(", "), "these settings change with a restart only, and stay as they were");
    }
    if settings.enforcement == Enforcement::AuditOnly {
        warn!("nothing is enforced ([enforcement] mode = \"audit-only\"): every token is let out");
    }
    let mut settings = settings;
    settings.stay_fixed(&current.borrow());
    current.send_replace(Arc::new(settings));
    info!(why, "the configuration was reloaded");
    true
}

/// What can be seen of the files of a configuration from outside.
#[derive(PartialEq, Eq)]
struct Files(Vec<(PathBuf, Option<Seen>)>);

/// Of which file of which disk, and of when.
type Seen = (u64, u64, u64, i64, i64);

impl Files {
    fn of(settings: &Settings) -> Self {
        Self::look(settings.files.iter().cloned())
    }

    fn look(files: impl Iterator<Item = PathBuf>) -> Self {
        let seen = |file: &PathBuf| {
            let found = std::fs::metadata(file).ok()?;
            Some((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
        };
        Self(files.map(|file| (seen(&file), file)).map(|(seen, file)| (file, seen)).collect())
    }

    fn again(&self) -> Self {
        Self::look(self.0.iter().map(|(file, _)| file.clone()))
    }

    /// Until they are others, and stay so for a moment: one that is being written is not read half.
    async fn changed(&self) {
        let mut last = None;
        loop {
            sleep(INTERVAL).await;
            let now = self.again();
            if now != *self && last.as_ref() == Some(&now) {
                return;
            }
            last = Some(now);
        }
    }
}
