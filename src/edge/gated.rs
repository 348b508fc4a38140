//! Gated grants: from a request that was judged to the answer of the flow.
//!
//! Where withheld tokens are revoked, the flow goes on when its client leaves: what the upstream issues then must
//! not live on unseen.

use std::{rc::Rc, time::Instant};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{AUTHORIZATION, HOST, SET_COOKIE, USER_AGENT},
};

use super::{
    Gateway, GatewayBody, Peer,
    respond::{Refusal, X_DRUPAL_TFA, challenged},
};
use crate::{
    factor::Presented,
    headers::TraceId,
    identity::{UsernameFault, fold_username},
    policy::throttle::Passage,
    step_up::{
        Claim, DeviceRequest, Flow, GateError, GatedGrant, GrantFacts, OrphanClient, Orphans as _, Outcome,
        PresentedDevice, RefreshGrant, TokenOrigin, TokenOwner as _, X_TFA_DEVICE, X_TFA_REMEMBER,
        passed_flow, refresh_flow, throttled, token_flow,
    },
    store::Store,
    telemetry::{AuditLog, GrantEnd, GrantKind, SystemClock},
    types::{Secret, limits::DEVICE_LABEL_BYTES_MAX},
    upstream::{OrphanSender, TokenServer},
};

impl Gateway {
    /// Whose token a request asks for, as far as the request says.
    pub(super) fn claim(&self, username: &str) -> Result<Claim, UsernameFault> {
        if self.token_server.tells_owners() {
            Ok(Claim::OfToken)
        } else {
            Ok(Claim::Name(fold_username(username)?))
        }
    }

    /// Where a token comes from that this canonical request asks for, where somebody would revoke it.
    pub(super) fn origin(
        &self,
        headers: &HeaderMap,
        client_id: Option<&str>,
        client_secret: Option<&str>,
    ) -> Option<TokenOrigin> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.orphans.is_on().then(|| TokenOrigin {
            client: OrphanClient {
                authorization: text(AUTHORIZATION).map(Secret::new),
                client_id: client_id.map(str::to_owned),
                client_secret: client_secret.map(|secret| Secret::new(secret.to_owned())),
            },
            host: text(HOST),
        })
    }

    /// Turns away who asks too often.
    pub(super) async fn throttle(&self, received: &HeaderMap, peer: Peer) -> Result<(), Refusal> {
        if self.limits.throttle.is_none() {
            return Ok(());
        }
        // Where a proxy's word cannot be read, it is the proxy's request.
        let client = self.trusted_proxies.client(peer, received).unwrap_or(peer.address.ip());
        match throttled(&*self.store, self.limits.throttle, client).await {
            Passage::Free => Ok(()),
            Passage::In(ms) => Err(Refusal::TooOften(ms.div_ceil(1000))),
        }
    }

    /// What rules go by. `received` are the headers as the peer sent them.
    pub(super) fn facts(
        &self,
        received: &HeaderMap,
        client_id: Option<String>,
        scope: Option<&str>,
        peer: Peer,
    ) -> GrantFacts {
        let address = self.trusted_proxies.client(peer, received);
        let trace_id = TraceId::of(received);
        GrantFacts { client_id, scope: scope.map(str::to_owned), address, trace_id }
    }

    /// Sends a refresh grant through its flow.
    pub(super) async fn refresh(self: &Rc<Self>, grant: RefreshGrant) -> Result<Outcome, GateError> {
        if !self.orphans.is_on() {
            return refresh_flow(&self.flow(), grant).await;
        }
        let origin = grant.origin.clone();
        Box::pin(self.to_the_end(origin, async |gateway: &Self| refresh_flow(&gateway.flow(), grant).await))
            .await
    }

    /// Sends a gated grant through the flow.
    pub(super) async fn step_up(self: &Rc<Self>, grant: Box<GatedGrant>) -> Result<Outcome, GateError> {
        if !self.orphans.is_on() {
            return token_flow(&self.flow(), grant).await;
        }
        let origin = grant.origin.clone();
        Box::pin(self.to_the_end(origin, async |gateway: &Self| token_flow(&gateway.flow(), grant).await))
            .await
    }

    /// Answers what came of a grant. `state` is echoed where a passcode is asked for.
    pub(super) fn answered(
        &self,
        asked: Asked,
        outcome: Result<Outcome, GateError>,
        state: Option<&str>,
    ) -> Result<Response<GatewayBody>, Refusal> {
        asked.ended(
            self,
            match &outcome {
                Ok(Outcome::Released(_)) => GrantEnd::Released,
                Ok(Outcome::Refused(_)) => GrantEnd::Refused,
                Ok(Outcome::Challenge(_)) => GrantEnd::Challenged,
                Ok(Outcome::Deny(_)) => GrantEnd::Denied,
                Err(_) => GrantEnd::Failed,
            },
        );
        match outcome? {
            Outcome::Released(answer) => Ok(answer.map(GatewayBody::from)),
            Outcome::Refused(mut answer) => {
                // A server may check the password first and refuse for another reason (a scope, say, or consent that
                // is asked for): with the session of its cookie, the password alone would be enough.
                answer.headers_mut().remove(SET_COOKIE);
                Ok(answer.map(GatewayBody::from))
            }
            Outcome::Challenge(challenge) => Ok(challenged(challenge, state, &self.messages)),
            Outcome::Deny(denial) => Err(Refusal::Denied(denial)),
        }
    }

    /// Sends a grant that passes. Where refresh tokens are remembered, its answer is read.
    pub(super) async fn pass(&self, request: Request<Bytes>) -> Result<Response<GatewayBody>, Refusal> {
        if self.remember_refresh_secs.is_none() {
            return Ok(self.send_own(request).await?);
        }
        Ok(passed_flow(&self.flow(), request).await?.map(GatewayBody::from))
    }

    fn flow(&self) -> Flow<'_, Store, TokenServer, SystemClock, AuditLog, OrphanSender> {
        Flow {
            store: &self.store,
            upstream: &self.token_server,
            addresses: self.addresses,
            rules: &self.rules,
            enforcement: self.enforcement,
            remember_refresh_secs: self.remember_refresh_secs,
            remember_devices_secs: self.remember_devices_secs,
            clock: &self.clock,
            audit: &self.audit,
            orphans: &self.orphans,
        }
    }

    /// Runs a flow whose withheld token would be revoked, in a task of its own, which nobody cancels. The gateway
    /// drains when the last of them has ended.
    async fn to_the_end(
        self: &Rc<Self>,
        origin: Option<TokenOrigin>,
        flow: impl AsyncFnOnce(&Self) -> Result<Outcome, GateError> + 'static,
    ) -> Result<Outcome, GateError> {
        let (gateway, orphans) = (Rc::clone(self), self.orphans.clone());
        let flow = async move { flow(&gateway).await };
        // A token that was cleared for a client who has left is as much an orphan as one that was not.
        let unheard = move |outcome| {
            if let (Ok(Outcome::Released(answer)), Some(origin)) = (outcome, origin) {
                orphans.abandon(origin.orphan(&answer));
            }
        };
        self.detached.to_the_end(flow, unheard).await.unwrap_or(Err(GateError::Lost))
    }
}

/// A grant that was asked for, as the metrics count it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Of which kind.
    pub(super) kind: GrantKind,
    /// When its request was there.
    pub(super) since: Instant,
}

impl Asked {
    /// It has ended.
    pub(super) fn ended(self, gateway: &Gateway, end: GrantEnd) {
        gateway.audit.metrics().grant_took(self.kind, end, self.since.elapsed());
    }
}

/// What a request says of remembered devices. Two tokens are none: which one was meant is not ours to guess.
pub(super) fn device(headers: &HeaderMap) -> DeviceRequest {
    let mut tokens = headers.get_all(X_TFA_DEVICE).iter();
    let presented = match (tokens.next(), tokens.next()) {
        (Some(token), None) => PresentedDevice::parse(token.as_bytes()),
        _ => None,
    };
    let label = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    DeviceRequest {
        presented,
        is_wanted: headers.get(X_TFA_REMEMBER).is_some_and(|value| value.as_bytes() == b"1"),
        label: label.map(|label| label.chars().take(DEVICE_LABEL_BYTES_MAX).collect()),
    }
}

/// What a request presents as its second factor.
pub(super) fn presented(headers: &HeaderMap) -> Presented {
    Presented::from_header_values(headers.get_all(X_DRUPAL_TFA).iter().map(HeaderValue::as_bytes))
}
