//! The private listener: probes, metrics, and the administration API.

use std::{cell::Cell, net::TcpListener, rc::Rc, sync::Arc, time::Duration};

use http::{Request, Response};
use tokio::{
    sync::watch,
    task::{AbortHandle, spawn_local},
};
use tracing::{error, warn};

use super::{AppError, following::Current};
use crate::{
    api::{Api, Underway},
    config::Settings,
    edge::{
        ClientName, GatewayBody,
        health::Health,
        listener::{self, Backlog, ListenSettings},
    },
    headers::client_addr::Peer,
    store::Store,
    telemetry::Metrics,
    upstream::{BackChannel, ClientBody},
};

/// The private listener. It answers until the process ends, so that a drain can be watched.
pub(super) struct Private {
    underway: Rc<Underway>,
    is_stopping: Rc<Cell<bool>>,
    tasks: [AbortHandle; 2],
}

/// What every configuration builds on.
struct Shared {
    store: Rc<Store>,
    metrics: Metrics,
    underway: Rc<Underway>,
}

/// What one configuration makes of it.
struct Site {
    health: Health,
    api: Option<Rc<Api>>,
}

impl Private {
    pub(super) fn start(
        listener: TcpListener,
        settings: watch::Receiver<Arc<Settings>>,
        store: Rc<Store>,
        metrics: Metrics,
    ) -> Result<Self, AppError> {
        let (underway, is_stopping) = (Rc::<Underway>::default(), Rc::<Cell<bool>>::default());
        let shared = Shared { store: Rc::clone(&store), metrics, underway: Rc::clone(&underway) };
        let build = move |settings: &Settings| {
            let listen = ListenSettings { tls: settings.admin_tls.clone(), ..ListenSettings::default() };
            Ok((shared.build(settings)?, listen))
        };
        let (site, following) = Current::start(settings, "the private listener", build)?;
        // Nothing is waited for; but who starts a gateway wants to know at once what it cannot reach.
        spawn_local(async move {
            if let Err(error) = store.ping().await {
                let error: &dyn std::error::Error = &error;
                warn!(error, "the store cannot be asked: nobody who gives a right password gets a token");
            }
        });
        let serving = serve(listener, following.listening, site, Rc::clone(&is_stopping));
        let serving = spawn_local(serving).abort_handle();
        Ok(Self { underway, is_stopping, tasks: [following.task, serving] })
    }

    /// From now on it is not ready.
    pub(super) fn stops(&self) {
        self.is_stopping.set(true);
    }

    /// Takes no change any more, and waits for those that are under way.
    pub(super) async fn close(self) {
        self.underway.close().await;
        for task in self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn build(&self, settings: &Settings) -> Result<Site, AppError> {
        let (store, metrics) = (Rc::clone(&self.store), self.metrics.clone());
        let health = Health { store, upstream: BackChannel::new(&settings.upstream)?, metrics };
        let api = settings.api.clone();
        let api = api.map(|api| Api::new(api, Rc::clone(&self.store), Rc::clone(&self.underway)));
        Ok(Site { health, api })
    }
}

async fn serve(
    listener: TcpListener,
    listening: watch::Receiver<Arc<ListenSettings>>,
    site: Current<Site>,
    is_stopping: Rc<Cell<bool>>,
) {
    let answer = move |request, peer| answer(site.get(), request, peer, is_stopping.get());
    let (_never, never) = watch::channel(false);
    if let Err(error) =
        listener::serve(listener, Backlog::Own, listening, None, || Duration::ZERO, never, answer).await
    {
        error!(%error, "the private listener ended");
    }
}

/// Probes and metrics are for whoever reaches the listener; the API asks who calls.
async fn answer(
    site: Rc<Site>,
    request: Request<ClientBody>,
    peer: Peer,
    is_stopping: bool,
) -> Response<GatewayBody> {
    match site.api.clone().filter(|_| Api::has(request.uri().path())) {
        Some(api) => {
            let client = request.extensions().get::<ClientName>().cloned();
            let certificate = client.as_ref().map(ClientName::as_str);
            api.answer(request, peer.address, certificate).await.map(GatewayBody::from)
        }
        None => site.health.answer(&request, is_stopping).await,
    }
}
