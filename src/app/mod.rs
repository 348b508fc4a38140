//! Layer 7, the composition root: builds the parts from their settings, runs them, drains them.
//!
//! Invariants: everything that can be refused is refused before anything listens, and before a new configuration takes
//! the place of the old one; data-plane threads share nothing but the configuration they were built from; whatever
//! ends one of them ends the process.

mod auditing;
mod data_plane;
mod following;
mod listeners;
mod preflight;
mod private;
mod reload;
mod signals;

use std::{io, net::SocketAddr, path::PathBuf, rc::Rc, sync::Arc, thread, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::{Builder, LocalOptions, LocalRuntime},
    sync::{mpsc, watch},
    task::spawn_local,
};
use tracing::{info, warn};

pub use self::preflight::preflight;
use self::{
    auditing::Auditing,
    data_plane::{DataPlane, Parts},
    listeners::Listeners,
    private::Private,
    reload::Reloader,
    signals::{Signals, tell_manager},
};
use crate::{
    config::{ConfigError, Settings},
    step_up::Clock as _,
    store::{Opener, Store, StoreOpenError},
    telemetry::{Metrics, SystemClock},
    upstream::{OrphanSender, RevocationChannel, RevocationWorker, UpstreamError, orphans},
};

/// Where the gateway listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The public listener.
    pub gateway: SocketAddr,
    /// The private listener.
    pub admin: SocketAddr,
}

/// Reads the configuration again.
pub type Reread = Box<dyn Fn() -> Result<Settings, ConfigError>>;

/// Why the gateway does not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A listener could not be bound.
    #[error("cannot listen on {address} ({key})")]
    Listen {
        /// The setting.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A runtime, thread or signal handler could not be made.
    #[error("the system refuses what the gateway needs")]
    System(#[from] io::Error),
    /// The file for audit events cannot be written.
    #[error("the audit file {path} ([audit] file) cannot be opened", path = path.display())]
    AuditFile {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The store or its key file could not be opened.
    #[error(transparent)]
    Store(#[from] StoreOpenError),
    /// The connection to the upstream cannot be set up (its TLS settings, say).
    #[error("the upstream cannot be used")]
    Upstream(#[from] UpstreamError),
    /// The client for the back channel cannot be set up.
    #[error("the back channel to the upstream cannot be used")]
    BackChannel(#[from] reqwest::Error),
    /// A data-plane thread ended by itself.
    #[error("a data-plane thread ended unexpectedly")]
    ThreadEnded,
}

/// Runs the gateway until SIGTERM or SIGINT, and drains it. `on_ready` is called when it listens, within the
/// first thread's runtime. With `reread`, SIGHUP and changes of the configuration's files are heeded.
pub fn serve(
    settings: Settings,
    reread: Option<Reread>,
    on_ready: impl FnOnce(Addresses),
) -> Result<(), AppError> {
    install_tls_provider();
    raise_open_files();
    for warning in preflight(&settings)? {
        warn!("{warning}");
    }
    let settings = Arc::new(settings);
    let metrics = Metrics::new();
    let measured = metrics.clone();
    export_spans(&settings, &metrics)?;
    let opener = opener(&settings)?;
    let revocation = settings.revocation.clone();
    let revocation =
        revocation.map(|own| RevocationChannel::new(own, settings.upstream.tls.as_ref())).transpose()?;
    let (orphans, revocation) = match revocation {
        Some(channel) => {
            let (sender, inbox) = orphans(Arc::new(metrics.clone()));
            (sender, Some((channel, inbox)))
        }
        None => (OrphanSender::off(), None),
    };
    let Listeners { gateway, backlog, admin, addresses } = Listeners::open(&settings)?;
    let (mut auditing, audit) = Auditing::open(&settings, &metrics)?;

    let (stop, stopped) = watch::channel(false);
    let (current, settings) = watch::channel(settings);
    let (ended_sender, mut ended) = mpsc::unbounded_channel::<()>();
    let mut threads = Vec::with_capacity(gateway.len());
    for (number, listener) in gateway.into_iter().enumerate() {
        let ended = SaysWhenDropped(ended_sender.clone());
        let parts = Parts {
            settings: settings.clone(),
            opener: opener.clone(),
            orphans: orphans.clone(),
            audit: audit.clone(),
            stopped: stopped.clone(),
        };
        let thread = thread::Builder::new().name(format!("data-plane-{number}")).spawn(move || {
            let _ended = ended;
            runtime()?.block_on(DataPlane::start(parts).serve(listener, backlog))
        })?;
        threads.push(thread);
    }
    drop((ended_sender, orphans));

    let control = runtime()?;
    let unexpected = control.block_on(async {
        let store = Rc::new(opener.open()?);
        let revocation = revocation.map(|(channel, inbox)| {
            let meter = Arc::new(metrics.clone());
            RevocationWorker::start(channel, inbox, &store, SystemClock, meter)
        });
        auditing.start(&store, &audit);
        drop(audit);
        let first = Arc::clone(&settings.borrow());
        let emptiness = spawn_local(preflight::warn_of_empty_redis(opener.clone(), Rc::clone(&store)));
        let private = Private::start(admin, settings.clone(), store, metrics.clone())?;
        // Before anyone is told that we listen: from here on a signal drains instead of killing.
        let mut signals = Signals::new()?;
        let reloading = reread.map(|reread| Reloader::start(reread, current, metrics, signals.take_reload()));
        info!(gateway = %addresses.gateway, admin = %addresses.admin, upstream = %first.upstream.url,
            store = %first.store, threads = first.threads, "listening");
        on_ready(addresses);
        tell_manager(&[sd_notify::NotifyState::Ready]);
        let unexpected = tokio::select! {
            () = signals.stop() => false,
            _ = ended.recv() => true,
        };
        tell_manager(&[sd_notify::NotifyState::Stopping]);
        private.stops();
        let delay = settings.borrow().drain_delay;
        if !unexpected && delay > Duration::ZERO {
            info!(?delay, "not ready any more: load balancers have time to notice");
            tokio::select! {
                () = signals.stop() => {}
                () = tokio::time::sleep(delay) => {}
            }
        }
        info!("stopping: requests in flight may finish");
        drop(reloading);
        emptiness.abort();
        // Receivers that are gone have stopped already.
        let _ = stop.send(true);
        while ended.recv().await.is_some() {}
        private.close().await;
        if let Some(revocation) = revocation {
            revocation.stop().await;
        }
        Ok::<_, AppError>(unexpected)
    })?;
    for thread in threads {
        thread.join().map_err(|_| AppError::ThreadEnded)??;
    }
    // With the runtime, the last of those ends who could record an event.
    drop(control);
    auditing.finish().map_err(|_| AppError::ThreadEnded)?;
    measured.finish();
    if unexpected { Err(AppError::ThreadEnded) } else { Ok(()) }
}

/// Opens the configured store for one piece of work, on a runtime of its own.
pub fn with_store<T>(settings: &Settings, work: impl AsyncFnOnce(&Store) -> T) -> Result<T, AppError> {
    install_tls_provider();
    let opener = opener(settings)?;
    runtime()?.block_on(async { Ok(work(&opener.open()?).await) })
}

fn opener(settings: &Settings) -> Result<Opener, StoreOpenError> {
    Opener::new(&settings.store, settings.key_file.clone(), settings.store_settings(), SystemClock.now())
}

/// Spans go to a collector, where one is named and this was built for it.
#[cfg(feature = "otlp")]
fn export_spans(settings: &Settings, metrics: &Metrics) -> Result<(), AppError> {
    if let Some(endpoint) = &settings.otlp_endpoint {
        let spans = crate::telemetry::Spans::to(endpoint)
            .map_err(|error| AppError::System(io::Error::other(error)))?;
        metrics.export(spans);
    }
    Ok(())
}

#[cfg(not(feature = "otlp"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature it can fail")]
const fn export_spans(_settings: &Settings, _metrics: &Metrics) -> Result<(), AppError> {
    Ok(())
}

/// ring, for whatever in this process speaks TLS. A second call finds it installed.
fn install_tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Shells and service managers start a process with a soft limit of 1024, for programs that use `select`.
/// Fewer idle clients than `listen.connections_max` would take every descriptor, the upstream's included.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        warn!(%error, "the limit of open files (ulimit -n) stays as it is");
    }
}

fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

/// Tells that a thread has ended, however it did.
struct SaysWhenDropped(mpsc::UnboundedSender<()>);

impl Drop for SaysWhenDropped {
    fn drop(&mut self) {
        // The first thread may be gone already; then nobody needs to know.
        let _ = self.0.send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_may_be_open_as_the_system_allows() {
        raise_open_files();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
