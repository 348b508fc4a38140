//! Which door a request goes through, and what they all share: one [`Gateway`] a runtime thread.

use std::{cell::Cell, rc::Rc};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::{GatewayBody, Messages, TripwireSettings, implicit, respond::Refusal, token_endpoint};
use crate::{
    headers::client_addr::{Peer, TrustedProxies},
    oauth::{
        RequestRules,
        endpoint::{Route, TokenEndpoint},
    },
    policy::{AddressRule, Enforcement, grants::GrantRules, rules::Rules},
    store::Store,
    telemetry::{LogAudit, SystemClock},
    upstream::{OrphanSender, Pool, TokenServer},
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
    pub audit: Rc<LogAudit>,
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
    /// What people are told.
    pub messages: Messages,
    /// Where tokens go that are withheld and not released.
    pub orphans: OrphanSender,
    /// Flows whose clients have left.
    pub detached: Cell<usize>,
    /// Held until the last flow has ended; whoever drains waits for its other end.
    pub under_way: mpsc::Sender<()>,
}

impl Gateway {
    /// Answers one request.
    pub async fn answer(self: &Rc<Self>, request: Request<Incoming>, peer: Peer) -> Response<GatewayBody> {
        let uri = request.uri();
        let answered = match self.endpoint.route(uri.path(), uri.query()) {
            // Boxed: a connection holds the room for its largest answer while it is idle, too.
            Route::Token => Box::pin(token_endpoint::answer(self, request, peer)).await,
            Route::Disguised => Err(Refusal::Disguised),
            Route::Elsewhere if implicit::is_meant_by(&request) => {
                Box::pin(implicit::answer(self, request.into_parts().0, peer)).await
            }
            Route::Elsewhere => self.relay(request, peer).await.map_err(Refusal::from),
        };
        answered.unwrap_or_else(|refusal| {
            refusal.log();
            refusal.response()
        })
    }
}
