//! Layer 6, the composition root: builds the parts from their settings, runs them, drains them.
//!
//! Invariants: everything that can be refused is refused before anything listens; data-plane threads
//! share nothing but the configuration they were built from; whatever ends one of them ends the process.

use std::{
    cell::Cell,
    future::pending,
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    thread,
};

use http::{Request, Response};
use hyper::body::Incoming;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::{Builder, LocalOptions, LocalRuntime},
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
};
use tracing::{error, info, warn};

use crate::{
    api::Api,
    config::Settings,
    edge::{
        ClientName, Gateway, GatewayBody,
        health::Health,
        listener::{self, ListenSettings},
    },
    headers::client_addr::Peer,
    policy::Enforcement,
    portal::Portal,
    step_up::Clock as _,
    store::{Opener, Store, StoreOpenError},
    telemetry::{LogAudit, Metrics, SystemClock},
    upstream::{
        BackChannel, OrphanSender, Pool, RevocationChannel, RevocationWorker, TokenServer, UpstreamError,
        orphans,
    },
};

/// Where the gateway listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The public listener.
    pub gateway: SocketAddr,
    /// The private listener.
    pub admin: SocketAddr,
}

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
/// first thread's runtime.
pub fn serve(settings: Settings, on_ready: impl FnOnce(Addresses)) -> Result<(), AppError> {
    install_tls_provider();
    raise_open_files();
    let settings = Arc::new(settings);
    let metrics = Metrics::new();
    let opener = opener(&settings)?;
    // Everything that can be refused is tried on this thread, before the others start.
    Pool::new(settings.upstream.clone())?;
    let back_channel = BackChannel::new(settings.upstream.url.to_string())?;
    let revocation = settings.revocation.clone().map(RevocationChannel::new).transpose()?;
    let (orphans, revocation) = match revocation {
        Some(channel) => {
            let (sender, inbox) = orphans(Arc::new(metrics.clone()));
            (sender, Some((channel, inbox)))
        }
        None => (OrphanSender::off(), None),
    };

    let gateway_listener = bind("listen.address", settings.listen.address, listener::bind_first)?;
    let admin_listener = bind("admin.address", settings.admin_address, listener::bind_alone)?;
    let addresses =
        Addresses { gateway: gateway_listener.local_addr()?, admin: admin_listener.local_addr()? };
    // Port 0 has become a port by now, and all threads share it.
    let mut listeners = vec![gateway_listener];
    for _ in 1..settings.threads {
        listeners.push(bind("listen.address", addresses.gateway, listener::bind_shared)?);
    }

    let (stop, stopped) = watch::channel(false);
    let (ended_sender, mut ended) = mpsc::unbounded_channel::<()>();
    let mut threads = Vec::with_capacity(listeners.len());
    for (number, listener) in listeners.into_iter().enumerate() {
        let ended = SaysWhenDropped(ended_sender.clone());
        let parts = Parts {
            settings: Arc::clone(&settings),
            opener: opener.clone(),
            orphans: orphans.clone(),
            metrics: metrics.clone(),
            stopped: stopped.clone(),
        };
        let thread = thread::Builder::new().name(format!("data-plane-{number}")).spawn(move || {
            let _ended = ended;
            serve_thread(parts, listener)
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
        let api = settings.api.clone().map(|api| Api::new(api, Rc::clone(&store)));
        let private = Private {
            health: Rc::new(Health { store, upstream: back_channel, metrics }),
            api: api.clone(),
            stopped,
        };
        let admin = tokio::task::spawn_local(serve_admin(admin_listener, Arc::clone(&settings), private));
        if api.is_some() && settings.admin_tls.is_none() && !addresses.admin.ip().is_loopback() {
            warn!(
                "tokens and secrets of the administration API are not encrypted: set admin.certificate_file"
            );
        }
        // Before anyone is told that we listen: from here on a signal drains instead of killing.
        let mut stop_signals = StopSignals::new()?;
        info!(gateway = %addresses.gateway, admin = %addresses.admin, upstream = %settings.upstream.url,
            store = %settings.store, threads = settings.threads, "listening");
        if settings.enforcement == Enforcement::AuditOnly {
            warn!("nothing is enforced ([enforcement] mode = \"audit-only\"): every token is let out");
        }
        on_ready(addresses);
        let unexpected = tokio::select! {
            () = stop_signals.recv() => false,
            _ = ended.recv() => true,
        };
        info!("stopping: requests in flight may finish");
        // Receivers that are gone have stopped already.
        let _ = stop.send(true);
        while ended.recv().await.is_some() {}
        if let Some(api) = api {
            api.close().await;
        }
        admin.abort();
        if let Some(revocation) = revocation {
            revocation.stop().await;
        }
        Ok::<_, AppError>(unexpected)
    })?;
    for thread in threads {
        thread.join().map_err(|_| AppError::ThreadEnded)??;
    }
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

fn bind(
    key: &'static str,
    address: SocketAddr,
    how: impl FnOnce(SocketAddr) -> io::Result<TcpListener>,
) -> Result<TcpListener, AppError> {
    how(address).map_err(|source| AppError::Listen { key, address, source })
}

fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

/// What a data-plane thread is built from.
struct Parts {
    settings: Arc<Settings>,
    opener: Opener,
    orphans: OrphanSender,
    metrics: Metrics,
    stopped: watch::Receiver<bool>,
}

/// One data-plane thread, from its parts to its drain.
fn serve_thread(parts: Parts, listener: TcpListener) -> Result<(), AppError> {
    let Parts { settings, opener, orphans, metrics, stopped } = parts;
    runtime()?.block_on(async {
        let upstream = Pool::new(settings.upstream.clone())?;
        let token_server = TokenServer::new(&upstream, settings.owners.clone(), &settings.upstream)?;
        let (store, token_server) = (Rc::new(opener.open()?), Rc::new(token_server));
        let audit = Rc::new(LogAudit::new(metrics));
        let (under_way, mut all_ended) = mpsc::channel::<()>(1);
        let portal = settings.portal.clone().map(|portal| {
            Rc::new(Portal {
                settings: Rc::new(portal),
                store: Rc::clone(&store),
                token_server: Rc::clone(&token_server),
                token_path: settings.endpoint.path().to_owned(),
                authority: settings.upstream.url.authority().clone(),
                orphans: orphans.clone(),
                audit: Rc::clone(&audit),
                clock: SystemClock,
                addresses: settings.addresses,
                rules: settings.rules.clone(),
                trusted_proxies: settings.trusted_proxies.clone(),
                totp: settings.totp,
                issuer: settings.issuer.clone(),
                under_way: under_way.clone(),
            })
        });
        let gateway = Rc::new(Gateway {
            token_server,
            upstream,
            store,
            clock: SystemClock,
            audit,
            endpoint: settings.endpoint.clone(),
            addresses: settings.addresses,
            rules: settings.rules.clone(),
            enforcement: settings.enforcement,
            grants: settings.grants.clone(),
            remember_refresh_secs: settings.remember_refresh_secs,
            remember_devices_secs: settings.remember_devices_secs,
            tripwire: settings.tripwire.clone(),
            implicit_path: settings.implicit_path.clone(),
            request_rules: settings.request_rules,
            trusted_proxies: settings.trusted_proxies.clone(),
            messages: settings.messages.clone(),
            orphans,
            detached: Cell::new(0),
            under_way,
        });
        let answer = move |request: Request<Incoming>, peer| {
            let gateway = Rc::clone(&gateway);
            let portal = portal.clone().filter(|portal| portal.serves(request.uri().path()));
            async move {
                match portal {
                    // Boxed, for it is rare and large.
                    Some(portal) => Box::pin(portal.answer(request, peer)).await.map(GatewayBody::from),
                    None => gateway.answer(request, peer).await,
                }
            }
        };
        listener::serve(listener, &settings.listen, settings.drain_timeout, stopped, answer).await?;
        // Flows whose clients have left are none of the listener's connections.
        if tokio::time::timeout(settings.drain_timeout, all_ended.recv()).await.is_err() {
            warn!("stopped while grants were under way");
        }
        Ok(())
    })
}

/// What the private listener leads to.
#[derive(Clone)]
struct Private {
    health: Rc<Health>,
    api: Option<Rc<Api>>,
    stopped: watch::Receiver<bool>,
}

impl Private {
    /// Probes and metrics are for whoever reaches the listener; the API asks who calls.
    async fn answer(self, request: Request<Incoming>, peer: Peer) -> Response<GatewayBody> {
        let is_stopping = *self.stopped.borrow();
        match self.api.filter(|_| Api::has(request.uri().path())) {
            Some(api) => {
                let client = request.extensions().get::<ClientName>().cloned();
                let certificate = client.as_ref().map(ClientName::as_str);
                api.answer(request, peer.address, certificate).await.map(GatewayBody::from)
            }
            None => self.health.answer(&request, is_stopping).await,
        }
    }
}

/// The private listener. It answers until the process ends, so that a drain can be watched.
async fn serve_admin(listener: TcpListener, settings: Arc<Settings>, private: Private) {
    let answer = move |request, peer| private.clone().answer(request, peer);
    let listen =
        ListenSettings { tls: settings.admin_tls.clone(), ..ListenSettings::at(settings.admin_address) };
    let (_never, never) = watch::channel(false);
    if let Err(error) = listener::serve(listener, &listen, settings.drain_timeout, never, answer).await {
        error!(%error, "the private listener ended");
    }
    pending::<()>().await;
}

/// SIGTERM, of service managers, and SIGINT, of terminals.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
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
