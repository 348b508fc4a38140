//! The private listener: probes, metrics, and the administration API.

use std::{
    cell::{Cell, RefCell},
    net::TcpListener,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::{
    sync::watch,
    task::{AbortHandle, spawn_local},
};
use tracing::{error, warn};

use super::AppError;
use crate::{
    api::Api,
    config::Settings,
    edge::{
        ClientName, GatewayBody,
        health::Health,
        listener::{self, Backlog, ListenSettings},
    },
    headers::client_addr::Peer,
    store::Store,
    telemetry::Metrics,
    upstream::BackChannel,
};

/// The private listener. It answers until the process ends, so that a drain can be watched.
pub(super) struct Private {
    served: Rc<Served>,
    tasks: [AbortHandle; 2],
}

struct Served {
    store: Rc<Store>,
    metrics: Metrics,
    is_stopping: Cell<bool>,
    current: RefCell<Rc<Site>>,
    /// All that ever were: their changes are waited for.
    apis: RefCell<Vec<Rc<Api>>>,
}

/// What one configuration makes of it.
struct Site {
    health: Health,
    api: Option<Rc<Api>>,
}

impl Private {
    pub(super) fn start(
        listener: TcpListener,
        mut settings: watch::Receiver<Arc<Settings>>,
        store: Rc<Store>,
        metrics: Metrics,
    ) -> Result<Self, AppError> {
        let first = Arc::clone(&settings.borrow_and_update());
        let apis = RefCell::default();
        let site = Site::build(&first, &store, &metrics, &apis)?;
        let served = Rc::new(Served {
            store,
            metrics,
            is_stopping: Cell::new(false),
            current: RefCell::new(Rc::new(site)),
            apis,
        });
        let (listen, listening) = watch::channel(Arc::new(listen_settings(&first)));
        // Nothing is waited for; but who starts a gateway wants to know at once what it cannot reach.
        let store = Rc::clone(&served.store);
        spawn_local(async move {
            if let Err(error) = store.ping().await {
                let error: &dyn std::error::Error = &error;
                warn!(error, "the store cannot be asked: nobody who gives a right password gets a token");
            }
        });
        let following = spawn_local(follow(Rc::clone(&served), settings, listen)).abort_handle();
        let serving = spawn_local(serve(listener, listening, Rc::clone(&served))).abort_handle();
        Ok(Self { served, tasks: [following, serving] })
    }

    /// From now on it is not ready.
    pub(super) fn stops(&self) {
        self.served.is_stopping.set(true);
    }

    /// Takes no change any more, and waits for those that are under way.
    pub(super) async fn close(self) {
        let apis = self.served.apis.take();
        for api in apis {
            api.close().await;
        }
        for task in self.tasks {
            task.abort();
        }
    }
}

impl Site {
    fn build(
        settings: &Settings,
        store: &Rc<Store>,
        metrics: &Metrics,
        apis: &RefCell<Vec<Rc<Api>>>,
    ) -> Result<Self, AppError> {
        let upstream = BackChannel::new(&settings.upstream)?;
        let api = settings.api.clone().map(|api| Api::new(api, Rc::clone(store)));
        apis.borrow_mut().extend(api.clone());
        Ok(Self { health: Health { store: Rc::clone(store), upstream, metrics: metrics.clone() }, api })
    }
}

fn listen_settings(settings: &Settings) -> ListenSettings {
    ListenSettings { tls: settings.admin_tls.clone(), ..ListenSettings::default() }
}

/// Takes over what changes. It was found to be without fault before.
async fn follow(
    served: Rc<Served>,
    mut settings: watch::Receiver<Arc<Settings>>,
    listen: watch::Sender<Arc<ListenSettings>>,
) {
    while settings.changed().await.is_ok() {
        let settings = Arc::clone(&settings.borrow_and_update());
        match Site::build(&settings, &served.store, &served.metrics, &served.apis) {
            Ok(site) => {
                served.current.replace(Rc::new(site));
                listen.send_replace(Arc::new(listen_settings(&settings)));
            }
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "the private listener goes on as before");
            }
        }
    }
    // Settings that nobody can change any more stay.
    std::future::pending::<()>().await;
}

async fn serve(listener: TcpListener, listening: watch::Receiver<Arc<ListenSettings>>, served: Rc<Served>) {
    let answer = move |request, peer| answer(Rc::clone(&served), request, peer);
    let (_never, never) = watch::channel(false);
    if let Err(error) =
        listener::serve(listener, Backlog::Own, listening, None, || Duration::ZERO, never, answer).await
    {
        error!(%error, "the private listener ended");
    }
}

/// Probes and metrics are for whoever reaches the listener; the API asks who calls.
async fn answer(served: Rc<Served>, request: Request<Incoming>, peer: Peer) -> Response<GatewayBody> {
    let site = Rc::clone(&served.current.borrow());
    match site.api.clone().filter(|_| Api::has(request.uri().path())) {
        Some(api) => {
            let client = request.extensions().get::<ClientName>().cloned();
            let certificate = client.as_ref().map(ClientName::as_str);
            api.answer(request, peer.address, certificate).await.map(GatewayBody::from)
        }
        None => site.health.answer(&request, served.is_stopping.get()).await,
    }
}
