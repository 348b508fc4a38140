//! Gated grants: from a request that was judged to the answer of the flow.
//!
//! Where withheld tokens are revoked, the flow goes on when its client leaves: what the upstream issues then must
//! not live on unseen.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Response, header::AUTHORIZATION};
use tokio::{sync::oneshot, task::spawn_local};

use super::{
    Gateway, GatewayBody,
    respond::{Refusal, X_DRUPAL_TFA, challenged},
};
use crate::{
    factor::Presented,
    identity::{UsernameFault, fold_username},
    step_up::{
        Claim, Flow, GateError, GatedGrant, OrphanClient, Orphans as _, Outcome, UpstreamFault, token_flow,
    },
    types::Secret,
};

impl Gateway {
    /// Whose token a request asks for, as far as the request says.
    pub(super) fn claim(&self, username: &str) -> Result<Claim, UsernameFault> {
        if self.token_server.is_by_username() {
            Ok(Claim::Name(fold_username(username)?))
        } else {
            Ok(Claim::OfToken)
        }
    }

    /// How the client authenticates itself, where somebody will revoke its token in its name.
    pub(super) fn client(
        &self,
        headers: &HeaderMap,
        client_id: Option<&str>,
        client_secret: Option<&str>,
    ) -> Option<OrphanClient> {
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        self.orphans.is_on().then(|| OrphanClient {
            authorization: authorization.map(|value| Secret::new(value.to_owned())),
            client_id: client_id.map(str::to_owned),
            client_secret: client_secret.map(|secret| Secret::new(secret.to_owned())),
        })
    }

    /// Sends a gated grant through the flow, and answers what comes of it.
    pub(super) async fn step_up(
        self: &Rc<Self>,
        grant: GatedGrant,
        state: Option<&str>,
    ) -> Result<Response<GatewayBody>, Refusal> {
        let outcome =
            if self.orphans.is_on() { self.flow_to_the_end(grant).await } else { self.flow(grant).await };
        match outcome? {
            Outcome::Relay(answer) => Ok(answer.map(GatewayBody::from)),
            Outcome::Challenge(challenge) => Ok(challenged(challenge, state, &self.messages)),
            Outcome::Deny(denial) => Err(Refusal::Denied(denial)),
        }
    }

    async fn flow(&self, grant: GatedGrant) -> Result<Outcome, GateError> {
        let flow = Flow {
            store: &self.store,
            upstream: &self.token_server,
            addresses: self.addresses,
            clock: &self.clock,
            audit: &*self.audit,
            orphans: &self.orphans,
        };
        token_flow(&flow, grant).await
    }

    /// The same in a task of its own, which nobody cancels.
    async fn flow_to_the_end(self: &Rc<Self>, grant: GatedGrant) -> Result<Outcome, GateError> {
        let (told, outcome) = oneshot::channel();
        let gateway = Rc::clone(self);
        spawn_local(async move {
            let origin = grant.origin();
            let outcome = gateway.flow(grant).await;
            // A token that was cleared for a client who has left is as much an orphan as one that was not.
            if let (Err(Ok(Outcome::Relay(answer))), Some(origin)) = (told.send(outcome), origin) {
                gateway.orphans.abandon(origin.orphan(&answer));
            }
        });
        outcome.await.unwrap_or_else(|gone| Err(UpstreamFault::Unreachable(gone.into()).into()))
    }
}

/// What a request presents as its second factor.
pub(super) fn presented(headers: &HeaderMap) -> Presented {
    Presented::from_header_values(headers.get_all(X_DRUPAL_TFA).iter().map(HeaderValue::as_bytes))
}
