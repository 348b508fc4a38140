//! A new configuration in the place of the old one, without a restart.
//!
//! Invariants: it is validated whole before anything changes, and taken over whole; a bad one changes nothing, and is
//! said with every fault; what cannot change in a running gateway is named, and stays.

use std::{sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio::{
    signal::unix::Signal,
    sync::watch,
    task::{AbortHandle, spawn_local},
    time::sleep,
};
use tracing::{error, info, warn};

use super::{Reread, data_plane, preflight, signals::tell_manager};
use crate::{
    config::{Settings, WatchedFile},
    store::key_file,
    telemetry::Metrics,
};

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
    let mut seen = current.borrow().files.clone();
    loop {
        let asked = async {
            match &mut hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        let why = tokio::select! {
            _ = asked => "SIGHUP",
            () = changed(&seen) => "a file has changed",
        };
        let now = NotifyState::monotonic_usec_now().ok();
        tell_manager(&[NotifyState::Reloading].into_iter().chain(now).collect::<Vec<_>>());
        let read = reload(&reread, &current, why);
        metrics.config_reloaded(read.is_ok());
        tell_manager(&[NotifyState::Ready]);
        seen = match read {
            Ok(files) => files,
            Err(files) => {
                // What was read before is watched on: whatever mends what was refused is noticed.
                let is_new = |old: &&WatchedFile| !files.iter().any(|file| file.path() == old.path());
                let old: Vec<_> = seen.iter().filter(is_new).map(WatchedFile::again).collect();
                [files, old].concat()
            }
        };
    }
}

/// The files that it was read from, of one that was taken over or of one that was refused.
fn reload(
    reread: &Reread,
    current: &watch::Sender<Arc<Settings>>,
    why: &str,
) -> Result<Vec<WatchedFile>, Vec<WatchedFile>> {
    let settings = match reread() {
        Ok(settings) => settings,
        Err(error) => {
            for fault in error.faults() {
                error!(%fault, why, "the configuration is refused, and the old one goes on");
            }
            return Err(error.files().to_vec());
        }
    };
    if let Err(error) = data_plane::check(&settings) {
        let error = &error as &dyn std::error::Error;
        error!(error, why, "the configuration is refused, and the old one goes on");
        return Err(settings.files);
    }
    // The one that is in use: another one takes a restart.
    if let Err(error) = key_file::load(&current.borrow().key_file) {
        let error = &error as &dyn std::error::Error;
        error!(
            error,
            why, "the key file cannot be read, so that the configuration is refused, and the old one goes on"
        );
        return Err(settings.files);
    }
    let fixed = settings.fixed.changed_from(&current.borrow().fixed);
    if !fixed.is_empty() {
        warn!(keys = fixed.join(", "), "these settings change with a restart only, and stay as they were");
    }
    for danger in preflight::dangers(&settings) {
        warn!("{danger}");
    }
    let mut settings = settings;
    settings.stay_fixed(&current.borrow());
    let files = settings.files.clone();
    current.send_replace(Arc::new(settings));
    info!(why, "the configuration was reloaded");
    Ok(files)
}

/// Waits until files are others than they were, and stay so for a moment: one that is being written is not read half.
async fn changed(seen: &[WatchedFile]) {
    let mut last = None;
    loop {
        sleep(INTERVAL).await;
        let now: Vec<_> = seen.iter().map(WatchedFile::again).collect();
        if now != seen && last.as_ref() == Some(&now) {
            return;
        }
        last = Some(now);
    }
}
