//! `POST /oauth2/token`: read, parsed, sent upstream in our own words, and judged before it is answered.
//!
//! Invariants: no request reaches the upstream's token endpoint but the canonical one made here; the
//! passcode never does; a password grant's answer leaves only by way of [`token_flow`](crate::step_up::token_flow).

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response,
    header::{CONTENT_TYPE, HOST},
    request::Parts,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::{
    Gateway, GatewayBody, Peer,
    gated::{Asked, device, presented},
    pass_through::effective_host,
    respond::Refusal,
};
use crate::{
    headers::copy_forwarded,
    oauth::{RequestFault, TokenRequest, answer::classify, forward},
    policy::grants::GrantRule,
    step_up::{GatedGrant, RefreshGrant},
    telemetry::{GrantEnd, GrantKind},
    types::{Secret, limits::TOKEN_REQUEST_BYTES_MAX},
    upstream::ClientBody,
};

/// Bytes of a name of 253 characters (RFC 1035 section 2.3.4) and a port, in any encoding.
const HOST_BYTES_MAX: usize = 512;

/// Answers a request at the token endpoint.
pub(super) async fn answer(
    gateway: &Rc<Gateway>,
    request: Request<ClientBody>,
    peer: Peer,
    since: Instant,
) -> Result<Response<GatewayBody>, Refusal> {
    if request.method() != Method::POST {
        return Err(Refusal::TokenMethodNotAllowed);
    }
    let (mut head, body) = request.into_parts();
    gateway.throttle(&head.headers, peer).await?;
    let body = read(body, gateway.limits.token_body_timeout).await?;
    let rules = gateway.request_rules;
    let parsed = TokenRequest::parse(rules, &head.headers, head.uri.query(), &body)?;
    if rules.require_client && !parsed.names_client(&head.headers)? {
        return Err(Refusal::NoClient);
    }
    let rule = gateway.grants.rule(parsed.grant_type());
    if rule == GrantRule::Refused {
        return Err(Refusal::GrantNotAllowed);
    }
    parsed.check_password_grant()?;
    let (presented, device) = (presented(&head.headers), device(&head.headers));
    let facts = gateway.facts(&head.headers, parsed.client(&head.headers), parsed.scope(), peer);
    let request = canonical(gateway, &mut head, &parsed, peer)?;
    let asked = Asked { kind: kind(parsed.grant_type()), since };
    match rule {
        GrantRule::Refused => Err(Refusal::GrantNotAllowed),
        GrantRule::Passed => {
            let answered = gateway.pass(request).await;
            asked.ended(gateway, if answered.is_ok() { GrantEnd::Passed } else { GrantEnd::Failed });
            answered
        }
        GrantRule::EnrolledAfter => {
            let refresh_token = Secret::new(parsed.refresh_token()?.to_owned());
            let origin = gateway.origin(request.headers(), parsed.client_id(), parsed.client_secret());
            let grant = RefreshGrant { refresh_token, request, origin, facts };
            gateway.answered(asked, Box::pin(gateway.refresh(grant)).await, None)
        }
        GrantRule::Gated => {
            let claim = gateway.claim(parsed.username()?)?;
            let origin = gateway.origin(request.headers(), parsed.client_id(), parsed.client_secret());
            let judge = classify;
            let grant = Box::new(GatedGrant { claim, presented, device, request, origin, facts, judge });
            gateway.answered(asked, gateway.step_up(grant).await, parsed.state())
        }
    }
}

fn kind(grant_type: &str) -> GrantKind {
    match grant_type {
        "password" => GrantKind::Password,
        "refresh_token" => GrantKind::RefreshToken,
        _ => GrantKind::Other,
    }
}

async fn read(body: ClientBody, limit: Duration) -> Result<Bytes, Refusal> {
    let whole = Limited::new(body, TOKEN_REQUEST_BYTES_MAX).collect();
    match tokio::time::timeout(limit, whole).await {
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
    let mut headers = gateway.canonical_headers(received, peer)?;
    headers.insert(CONTENT_TYPE, parsed.content_type());
    let path = gateway.endpoint.path();
    let target = parsed.encode_query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut request = Request::new(parsed.encode_body());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.parse().map_err(|_| RequestFault::query_too_long())?;
    *request.headers_mut() = headers;
    Ok(request)
}

impl Gateway {
    /// The headers of a request that is made here: those that are allowed, and our own.
    pub(super) fn canonical_headers(&self, received: &mut Parts, peer: Peer) -> Result<HeaderMap, Refusal> {
        let host = effective_host(received)?;
        if host.as_ref().is_some_and(|host| host.len() > HOST_BYTES_MAX) {
            return Err(RequestFault::header("Host", "must be at most 512 bytes long").into());
        }
        self.set_forwarded(&mut received.headers, host.as_ref(), peer);
        let mut headers = forward::token_request_headers(&received.headers)?;
        copy_forwarded(&received.headers, &mut headers);
        headers.insert(HOST, host.unwrap_or_else(|| self.upstream.url().authority().clone()));
        Ok(headers)
    }
}
