//! A request from its first byte to its answer: who calls, what for, and what came of it.
//!
//! Invariants: who calls is known before anything else is looked at; a change that was begun is recorded, even if the
//! client leaves and even if the gateway is stopped.

use std::{cell::Cell, net::SocketAddr, rc::Rc};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE, ORIGIN},
};
use tokio::{sync::Notify, task::spawn_local};
use tracing::{info, warn};

use super::{
    access::{self, AccessFault, AccessToken, Caller, Right},
    body::ReadBody,
    call::Call,
    problem::Problem,
    query::Query,
    routes::{self, Operation, Route, Target},
    slowness::Slowness,
};
use crate::{factor::totp::TotpParameters, store::Store, upstream::ClientBody};

/// What every path begins with.
pub const PREFIX: &str = "/api/v1";
/// The description of the interface, as OpenAPI 3.1.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// Who may call, and how new factors are made.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// The tokens that are known.
    pub tokens: Vec<AccessToken>,
    /// Parameters of new factors.
    pub totp: TotpParameters,
    /// What authenticator apps show.
    pub issuer: String,
}

/// The administration API of one listener.
pub struct Api {
    settings: ApiSettings,
    store: Rc<Store>,
    underway: Rc<Underway>,
}

/// What outlives a configuration: the changes that are under way, and the failures of those who are not known.
#[derive(Debug, Default)]
pub struct Underway {
    slowness: Rc<Slowness>,
    changes: Cell<usize>,
    is_closed: Cell<bool>,
    one_ended: Notify,
}

impl Underway {
    /// Takes no change any more, and waits for those that are under way: each is recorded. Their waits for the store
    /// are bounded.
    pub async fn close(&self) {
        self.is_closed.set(true);
        while self.changes.get() > 0 {
            self.one_ended.notified().await;
        }
    }
}

impl Api {
    /// On this thread's store. `underway` is the listener's, whatever the configuration.
    pub fn new(settings: ApiSettings, store: Rc<Store>, underway: Rc<Underway>) -> Rc<Self> {
        Rc::new(Self { settings, store, underway })
    }

    /// Whether a path is the API's.
    pub fn has(path: &str) -> bool {
        path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers one request. `certificate` is the name in the client certificate, if one was shown that was verified.
    pub async fn answer(
        self: Rc<Self>,
        request: Request<ClientBody>,
        peer: SocketAddr,
        certificate: Option<&str>,
    ) -> Response<Bytes> {
        let answered = self.answered(request, peer, certificate).await;
        answered.unwrap_or_else(|problem| {
            problem.log();
            problem.response()
        })
    }

    async fn answered(
        self: Rc<Self>,
        request: Request<ClientBody>,
        peer: SocketAddr,
        certificate: Option<&str>,
    ) -> Result<Response<Bytes>, Problem> {
        let (head, body) = request.into_parts();
        // Without the prefix it is a path that no route has.
        let path = head.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        let target = routes::target(head.method.as_str(), path);
        if let Target::Found(Route { operation: Operation::Document, .. }, _) = target {
            return Ok(document());
        }
        let caller = match access::caller(&head.headers, certificate, &self.settings.tokens) {
            Ok(caller) => caller,
            Err(fault) => return Err(self.refused(fault, peer).await),
        };
        let (route, names) = match target {
            Target::Found(route, names) => (route, names),
            Target::OtherMethods(allowed) => return Err(Problem::MethodNotAllowed(allowed)),
            Target::Nowhere => return Err(Problem::NoSuchPath),
        };
        if let Some(right) = route.right.filter(|right| !caller.may(*right)) {
            warn!(actor = %caller.actor, %peer, right = right.as_str(), "administration refused: no such right");
            return Err(Problem::MayNot(right));
        }
        let is_change = route.right == Some(Right::Write);
        // Pages of other sites may have a browser send what changes something, with the certificate it holds.
        if is_change && caller.is_by_certificate && head.headers.contains_key(ORIGIN) {
            return Err(Problem::FromPage);
        }
        let query = Query::parse(head.uri.query(), route.query)?;
        let body = ReadBody::read(&head.headers, body).await?;
        let call = Call::read(route.operation, &names, query, &body)?;
        if is_change {
            return self.change(call, caller, route).await;
        }
        Ok(call.perform(&self.store, &self.settings, &caller).await?.response())
    }

    /// Does what changes something, on a task of its own, which goes on when the client leaves.
    async fn change(
        self: Rc<Self>,
        call: Call,
        caller: Caller,
        route: &'static Route,
    ) -> Result<Response<Bytes>, Problem> {
        if self.underway.is_closed.get() {
            return Err(Problem::Stopping);
        }
        let counted = Counted::new(Rc::clone(&self.underway));
        let done = spawn_local(async move {
            let _counted = counted;
            let answer = call.perform(&self.store, &self.settings, &caller).await;
            let (actor, route) = (&caller.actor, format_args!("{} {PREFIX}{}", route.method, route.path));
            match &answer {
                Ok(_) => info!(%actor, %route, "administration: done"),
                Err(problem) => info!(%actor, %route, %problem, "administration: not done"),
            }
            answer
        });
        let answer = done.await.map_err(Problem::Interrupted)??;
        Ok(answer.response())
    }

    /// Makes a caller wait who is not known, and writes it down, as far as there is place for either.
    async fn refused(&self, fault: AccessFault, peer: SocketAddr) -> Problem {
        let Some(place) = self.underway.slowness.place() else { return Problem::TooManyFailures };
        warn!(%peer, reason = %fault, untold = place.untold, "administration refused: it is not known who calls");
        place.wait().await;
        Problem::Access(fault)
    }
}

fn document() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(DOCUMENT.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A change that is under way.
struct Counted(Rc<Underway>);

impl Counted {
    fn new(underway: Rc<Underway>) -> Self {
        underway.changes.set(underway.changes.get() + 1);
        Self(underway)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.changes.set(self.0.changes.get().saturating_sub(1));
        self.0.one_ended.notify_one();
    }
}
