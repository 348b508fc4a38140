//! One data-plane thread: its parts, their change with the configuration, its drain.

use std::{net::TcpListener, rc::Rc, sync::Arc, time::Instant};

use http::{Request, Response};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tracing::warn;

use super::{AppError, following::Current};
use crate::{
    config::Settings,
    edge::{
        Gateway, GatewayBody, Load,
        listener::{self, Backlog},
    },
    headers::client_addr::Peer,
    portal::Portal,
    step_up::SharedMeter,
    store::Opener,
    telemetry::{AuditLog, RequestRoute, SystemClock},
    upstream::{BackChannel, ClientBody, Detached, OrphanSender, Pool, TokenServer},
};

/// What a thread is built from.
pub(super) struct Parts {
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) opener: Opener,
    pub(super) orphans: OrphanSender,
    pub(super) audit: AuditLog,
    pub(super) stopped: watch::Receiver<bool>,
}

/// A thread's own, whatever the configuration.
struct Shared {
    opener: Opener,
    orphans: OrphanSender,
    audit: Rc<AuditLog>,
    load: Rc<Load>,
    under_way: mpsc::Sender<()>,
}

/// What one configuration makes of it.
struct Site {
    gateway: Rc<Gateway>,
    portal: Option<Rc<Portal>>,
}

/// A thread that is ready to serve.
pub(super) struct DataPlane {
    settings: watch::Receiver<Arc<Settings>>,
    stopped: watch::Receiver<bool>,
    shared: Shared,
    all_ended: mpsc::Receiver<()>,
}

/// Whether a thread can be built from these settings: what can be refused is refused here.
pub(super) fn check(settings: &Settings) -> Result<(), AppError> {
    let pool = Pool::new(settings.upstream.clone(), None)?;
    TokenServer::new(&pool, settings.owners.clone(), &settings.upstream)?;
    BackChannel::new(&settings.upstream)?;
    Ok(())
}

impl DataPlane {
    /// To be called on the thread itself.
    pub(super) fn start(parts: Parts) -> Self {
        let Parts { settings, opener, orphans, audit, stopped } = parts;
        let (under_way, all_ended) = mpsc::channel::<()>(1);
        let audit = Rc::new(audit);
        let shared = Shared { opener, orphans, audit, load: Rc::default(), under_way };
        Self { settings, stopped, shared, all_ended }
    }

    /// Serves until it is told to stop, and drains.
    pub(super) async fn serve(self, listener: TcpListener, backlog: Backlog) -> Result<(), AppError> {
        let Self { settings, stopped, shared, mut all_ended } = self;
        let metrics = shared.audit.metrics().clone();
        let build = move |settings: &Settings| Ok((shared.build(settings)?, settings.listen.clone()));
        let (site, following) = Current::start(settings.clone(), "a data-plane thread", build)?;
        let answer = move |request: Request<ClientBody>, peer| site.get().answer(request, peer);
        let drain_timeout = || settings.borrow().drain_timeout;
        let listening = following.listening;
        listener::serve(listener, backlog, listening, Some(metrics), drain_timeout, stopped, answer).await?;
        following.task.abort();
        // Flows whose clients have left are none of the listener's connections.
        if timeout(drain_timeout(), all_ended.recv()).await.is_err() {
            warn!("stopped while grants were under way");
        }
        Ok(())
    }
}

impl Site {
    async fn answer(self: Rc<Self>, request: Request<ClientBody>, peer: Peer) -> Response<GatewayBody> {
        match self.portal.as_ref().filter(|portal| portal.serves(request.uri().path())) {
            // Boxed, for it is rare and large.
            Some(portal) => {
                let (started, metrics) = (Instant::now(), self.gateway.audit.metrics());
                let parent = metrics.parent(request.headers());
                let answered = Box::pin(Rc::clone(portal).answer(request, peer)).await;
                metrics.request(RequestRoute::Portal, answered.status(), started.elapsed(), parent);
                answered.map(GatewayBody::from)
            }
            None => self.gateway.answer(request, peer).await,
        }
    }
}

impl Shared {
    fn build(&self, settings: &Settings) -> Result<Site, AppError> {
        let meter: SharedMeter = Arc::new(self.audit.metrics().clone());
        let upstream = Pool::new(settings.upstream.clone(), Some(Arc::clone(&meter)))?;
        let token_server = TokenServer::new(&upstream, settings.owners.clone(), &settings.upstream)?;
        let store = self.opener.open_with(settings.store_settings())?.metered(meter);
        let (store, token_server) = (Rc::new(store), Rc::new(token_server));
        let detached = Detached::of(upstream.connections_max());
        let portal = settings.portal.clone().map(|portal| {
            Rc::new(Portal {
                settings: Rc::new(portal),
                store: Rc::clone(&store),
                token_server: Rc::clone(&token_server),
                token_path: settings.endpoint.path().to_owned(),
                orphans: self.orphans.clone(),
                detached: Rc::clone(&detached),
                audit: Rc::clone(&self.audit),
                clock: SystemClock,
                addresses: settings.addresses,
                rules: settings.rules.clone(),
                trusted_proxies: settings.trusted_proxies.clone(),
                throttle: settings.limits.throttle,
                totp: settings.totp,
                issuer: settings.issuer.clone(),
                under_way: self.under_way.clone(),
            })
        });
        let gateway = Rc::new(Gateway {
            token_server,
            upstream,
            store,
            clock: SystemClock,
            audit: Rc::clone(&self.audit),
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
            limits: settings.limits,
            load: Rc::clone(&self.load),
            messages: settings.messages.clone(),
            orphans: self.orphans.clone(),
            detached,
            under_way: self.under_way.clone(),
        });
        Ok(Site { gateway, portal })
    }
}
