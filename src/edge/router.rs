//! Which door a request goes through, and what they all share: one [`Gateway`] a runtime thread.

use std::{rc::Rc, time::Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::{
    GatewayBody, Load, Messages, RequestLimits, TripwireSettings, implicit, respond::Refusal, token_endpoint,
};
use crate::{
    headers::{
        TraceParent,
        client_addr::{Peer, TrustedProxies},
    },
    oauth::{
        RequestRules,
        endpoint::{Route, TokenEndpoint},
    },
    policy::{AddressRule, Enforcement, grants::GrantRules, rules::Rules},
    store::Store,
    telemetry::{AuditLog, Metrics, RequestRoute, SystemClock},
    upstream::{Detached, OrphanSender, Pool, TokenServer},
};

/// All that one runtime thread needs to answer requests. Nothing in it is shared with other threads.
pub struct Gateway {
    /// Connections to the upstream.
    pub upstream: Pool,
    /// Enrolments and attempts.
    pub store: Rc<Store>,
    /// The time.
    pub clock: SystemClock,
    /// The audit trail.
    pub audit: Rc<AuditLog>,
    /// Where the token endpoint is.
    pub endpoint: TokenEndpoint,
    /// The upstream as gated grants need it.
    pub token_server: Rc<TokenServer>,
    /// What e-mail addresses are.
    pub addresses: AddressRule,
    /// Who needs a second factor.
    pub rules: Rules,
    /// Whether what is decided is also done.
    pub enforcement: Enforcement,
    /// What is done with each grant type.
    pub grants: GrantRules,
    /// For how long refresh tokens are remembered, if they are. Seconds.
    pub remember_refresh_secs: Option<u64>,
    /// For how long devices are remembered, if they are. Seconds.
    pub remember_devices_secs: Option<u64>,
    /// What happens to tokens that other routes issue.
    pub tripwire: TripwireSettings,
    /// Where the implicit grant with a password is taken, if it is.
    pub implicit_path: Option<String>,
    /// How token requests are taken.
    pub request_rules: RequestRules,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: TrustedProxies,
    /// What a client may ask for.
    pub limits: RequestLimits,
    /// The requests of this thread that are under way.
    pub load: Rc<Load>,
    /// What people are told.
    pub messages: Messages,
    /// Where tokens go that are withheld and not released.
    pub orphans: OrphanSender,
    /// Flows whose clients have left.
    pub detached: Rc<Detached>,
    /// Held until the last flow has ended; whoever drains waits for its other end.
    pub under_way: mpsc::Sender<()>,
}

impl Gateway {
    /// Answers one request.
    pub async fn answer(self: &Rc<Self>, request: Request<Incoming>, peer: Peer) -> Response<GatewayBody> {
        let (started, parent) = (Instant::now(), TraceParent::of(request.headers()));
        let metrics = self.audit.metrics();
        metrics.requests_under_way(1);
        // A client that leaves takes its request with it.
        let under_way = UnderWay(metrics);
        let (route, answered) = self.route(request, peer).await;
        drop(under_way);
        let response = answered.unwrap_or_else(|refusal| {
            refusal.log();
            refusal.response()
        });
        metrics.request(route, response.status(), started.elapsed(), parent);
        response
    }

    async fn route(
        self: &Rc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> (RequestRoute, Result<Response<GatewayBody>, Refusal>) {
        let uri = request.uri();
        let route = self.endpoint.route(uri.path(), uri.query());
        let is_implicit = implicit::is_meant_by(&request);
        let is_login = route == Route::Token || is_implicit;
        let kind = match route {
            Route::Token => RequestRoute::Token,
            Route::Disguised => RequestRoute::Disguised,
            Route::Elsewhere if is_implicit => RequestRoute::Token,
            Route::Elsewhere => RequestRoute::PassThrough,
        };
        let Some(_under_way) = self.load.enter(self.limits.requests_max, is_login) else {
            return (kind, Err(Refusal::Overloaded));
        };
        let answered = match route {
            // Boxed: a connection holds the room for its largest answer while it is idle, too.
            Route::Token => Box::pin(token_endpoint::answer(self, request, peer)).await,
            Route::Disguised => Err(Refusal::Disguised),
            Route::Elsewhere if is_implicit => {
                Box::pin(implicit::answer(self, request.into_parts().0, peer)).await
            }
            Route::Elsewhere => self.relay(request, peer).await.map_err(Refusal::from),
        };
        (kind, answered)
    }
}

/// A request whose answer is waited for, as the metrics count it.
struct UnderWay<'a>(&'a Metrics);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.requests_under_way(-1);
    }
}
