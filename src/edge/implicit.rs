//! `GET /oauth2/authorize?response_type=token&username=…&password=…`: gated like a password grant where the
//! configuration says so, and refused everywhere else.

use std::{rc::Rc, time::Instant};

use bytes::Bytes;
use http::{Method, Request, Response, request::Parts};

use super::{
    Gateway, GatewayBody, Peer,
    gated::{Asked, device, presented},
    respond::Refusal,
};
use crate::{
    oauth::{ImplicitRequest, RequestFault, answer::classify_redirect},
    step_up::GatedGrant,
    telemetry::GrantKind,
};

/// Whether a request brings a password to an authorization endpoint.
pub(super) fn is_meant_by(request: &Request<impl Sized>) -> bool {
    request.uri().query().is_some_and(ImplicitRequest::is_meant_by)
}

/// Answers such a request.
pub(super) async fn answer(
    gateway: &Rc<Gateway>,
    mut head: Parts,
    peer: Peer,
    since: Instant,
) -> Result<Response<GatewayBody>, Refusal> {
    let Some(path) = gateway.implicit_path.as_deref().filter(|path| *path == head.uri.path()) else {
        return Err(Refusal::ImplicitNotAllowed);
    };
    if head.method != Method::GET {
        return Err(Refusal::ImplicitNotAllowed);
    }
    gateway.throttle(&head.headers, peer).await?;
    let parsed = ImplicitRequest::parse(head.uri.query().unwrap_or_default())?;
    let claim = gateway.claim(parsed.username())?;
    let (presented, device) = (presented(&head.headers), device(&head.headers));
    let client_id = parsed.client_id().map(str::to_owned);
    let facts = gateway.facts(&head.headers, client_id, parsed.scope(), peer);
    let headers = gateway.canonical_headers(&mut head, peer)?;
    let origin = gateway.origin(&headers, parsed.client_id(), None);
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() =
        format!("{path}?{}", parsed.encode()).parse().map_err(|_| RequestFault::query_too_long())?;
    *request.headers_mut() = headers;
    let judge = classify_redirect;
    let grant = Box::new(GatedGrant { claim, presented, device, request, origin, facts, judge });
    let asked = Asked { kind: GrantKind::Implicit, since };
    gateway.answered(asked, gateway.step_up(grant).await, parsed.state())
}
