//! `POST /oauth2/token`: read, parsed, sent upstream in our own words, and judged before it is answered.
//!
//! Invariants: no request reaches the upstream's token endpoint but the canonical one made here; the
//! passcode never does; a password grant's answer leaves only by way of [`token_flow`].

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
    request::Parts,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::{
    Gateway, GatewayBody, Peer,
    pass_through::effective_host,
    respond::{Refusal, X_DRUPAL_TFA, challenged},
};
use crate::{
    factor::Presented,
    headers::copy_forwarded,
    identity::fold_username,
    oauth::{RequestFault, TokenRequest, answer::classify, forward},
    policy::grants::GrantRule,
    step_up::{Claim, Flow, GatedGrant, OrphanClient, Outcome, token_flow},
    types::{Secret, limits::TOKEN_REQUEST_BYTES_MAX},
};

/// How long the body of a token request may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request at the token endpoint.
pub(super) async fn answer(
    gateway: &Gateway,
    request: Request<Incoming>,
    peer: Peer,
) -> Result<Response<GatewayBody>, Refusal> {
    if request.method() != Method::POST {
        return Err(Refusal::TokenMethodNotAllowed);
    }
    let (mut head, body) = request.into_parts();
    let rules = gateway.request_rules;
    let parsed = TokenRequest::parse(rules, &head.headers, head.uri.query(), &read(body).await?)?;
    if rules.require_client && !parsed.names_client(&head.headers)? {
        return Err(Refusal::NoClient);
    }
    let rule = gateway.grants.rule(parsed.grant_type());
    if rule == GrantRule::Refused {
        return Err(Refusal::GrantNotAllowed);
    }
    parsed.check_password_grant()?;
    let presented = presented(&head.headers);
    let request = canonical(gateway, &mut head, &parsed, peer)?;
    match rule {
        GrantRule::Refused => Err(Refusal::GrantNotAllowed),
        GrantRule::Passed | GrantRule::EnrolledAfter => Ok(gateway.send_own(request).await?),
        GrantRule::Gated => {
            let claim = if gateway.token_server.is_by_username() {
                Claim::Name(fold_username(parsed.username()?)?)
            } else {
                Claim::OfToken
            };
            let client = client(request.headers(), &parsed);
            let grant = GatedGrant { client, claim, presented, request, judge: classify };
            gateway.step_up(grant, parsed.state()).await
        }
    }
}

impl Gateway {
    /// Sends a gated grant through the flow, and answers what comes of it.
    pub(super) async fn step_up(
        &self,
        grant: GatedGrant,
        state: Option<&str>,
    ) -> Result<Response<GatewayBody>, Refusal> {
        let flow = Flow {
            store: &self.store,
            upstream: &self.token_server,
            addresses: self.addresses,
            clock: &self.clock,
            audit: &*self.audit,
            orphans: &self.orphans,
        };
        match token_flow(&flow, grant).await? {
            Outcome::Relay(answer) => Ok(answer.map(GatewayBody::from)),
            Outcome::Challenge(challenge) => Ok(challenged(challenge, state, &self.messages)),
            Outcome::Deny(denial) => Err(Refusal::Denied(denial)),
        }
    }
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let whole = Limited::new(body, TOKEN_REQUEST_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge),
        Ok(Err(_)) => Err(Refusal::BodyBroken),
        Err(_) => Err(Refusal::BodyTimedOut),
    }
}

/// The request that goes upstream: one method, one path, one media type, allowed headers, our encoding.
fn canonical(
    gateway: &Gateway,
    received: &mut Parts,
    parsed: &TokenRequest,
    peer: Peer,
) -> Result<Request<Bytes>, Refusal> {
    let host = effective_host(received)?;
    gateway.set_forwarded(&mut received.headers, host.as_ref(), peer);
    let mut headers = forward::token_request_headers(&received.headers)?;
    copy_forwarded(&received.headers, &mut headers);
    headers.insert(HOST, host.unwrap_or_else(|| gateway.upstream.url().authority().clone()));
    headers.insert(CONTENT_TYPE, parsed.content_type());
    let path = gateway.endpoint.path();
    let target = parsed.encode_query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut request = Request::new(parsed.encode_body());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.parse().map_err(|_| RequestFault::query_too_long())?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// How the client authenticates itself: whoever revokes its token does so in its name.
fn client(headers: &HeaderMap, parsed: &TokenRequest) -> OrphanClient {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    OrphanClient {
        authorization: authorization.map(|value| Secret::new(value.to_owned())),
        client_id: parsed.client_id().map(str::to_owned),
        client_secret: parsed.client_secret().map(|secret| Secret::new(secret.to_owned())),
    }
}

fn presented(headers: &HeaderMap) -> Presented {
    Presented::from_header_values(headers.get_all(X_DRUPAL_TFA).iter().map(HeaderValue::as_bytes))
}
