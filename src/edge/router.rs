//! Which door a request goes through, and what they all share: one [`Gateway`] a runtime thread.

use std::{rc::Rc, time::Instant};

use http::{Request, Response};
use tokio::sync::mpsc;

use super::{
    GatewayBody, Load, Messages, RequestLimits, TripwireSettings, implicit, respond::Refusal, token_endpoint,
};
use crate::{
    headers::client_addr::{Peer, TrustedProxies},
    oauth::{
        RequestRules,
        endpoint::{Route, TokenEndpoint},
    },
    policy::{AddressRule, Enforcement, grants::GrantRules, rules::Rules},
    store::Store,
    telemetry::{AuditLog, Metrics, RequestRoute, SystemClock},
    upstream::{ClientBody, Detached, OrphanSender, Pool, TokenServer},
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
    pub async fn answer(self: &Rc<Self>, request: Request<ClientBody>, peer: Peer) -> Response<GatewayBody> {
        let (started, metrics) = (Instant::now(), self.audit.metrics());
        let parent = metrics.parent(request.headers());
        metrics.requests_under_way(1);
        // A client that leaves takes its request with it.
        let under_way = UnderWay(metrics);
        let door = self.door(&request);
        // All in one: each future around a future is moved once more, with all the room that it holds.
        let answered = match self.load.enter(self.limits.requests_max, door.is_login()) {
            None => Err(Refusal::Overloaded),
            Some(_under_way) => match door {
                // Boxed: a connection holds the room for its largest answer while it is idle, too.
                Door::Token => Box::pin(token_endpoint::answer(self, request, peer, started)).await,
                Door::Implicit => {
                    Box::pin(implicit::answer(self, request.into_parts().0, peer, started)).await
                }
                Door::None => Err(Refusal::Disguised),
                Door::PassThrough => self.relay(request, peer).await.map_err(Refusal::from),
            },
        };
        drop(under_way);
        let response = answered.unwrap_or_else(|refusal| {
            refusal.log();
            refusal.response()
        });
        metrics.request(door.route(), response.status(), started.elapsed(), parent);
        response
    }

    fn door(&self, request: &Request<ClientBody>) -> Door {
        let uri = request.uri();
        match self.endpoint.route(uri.path(), uri.query()) {
            Route::Token => Door::Token,
            Route::Disguised => Door::None,
            Route::Elsewhere if implicit::is_meant_by(request) => Door::Implicit,
            Route::Elsewhere => Door::PassThrough,
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
enum Door {
    /// To the token endpoint.
    Token,
    /// To the implicit grant with a password.
    Implicit,
    /// Nowhere: it is a disguise of the token endpoint.
    None,
    /// To the upstream as it is.
    PassThrough,
}

impl Door {
    /// Whether somebody logs in here.
    const fn is_login(self) -> bool {
        matches!(self, Self::Token | Self::Implicit)
    }

    /// What the metrics call it.
    const fn route(self) -> RequestRoute {
        match self {
            Self::Token | Self::Implicit => RequestRoute::Token,
            Self::None => RequestRoute::Disguised,
            Self::PassThrough => RequestRoute::PassThrough,
        }
    }
}

/// A request whose answer is waited for, as the metrics count it.
struct UnderWay<'a>(&'a Metrics);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.requests_under_way(-1);
    }
}
