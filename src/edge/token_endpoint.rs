//! `POST /oauth2/token`: read, parsed, sent upstream in our own words, and judged before it is answered.
//!
//! Invariants: no request reaches the upstream's token endpoint but the canonical one made here; the
//! passcode never does; a password grant's answer leaves only by way of [`token_flow`].

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use tracing::{debug, warn};

use super::{
    Gateway, GatewayBody, OwnAnswer, PassThroughError, Peer, X_DRUPAL_TFA, pass_through::effective_host,
};
use crate::{
    factor::Presented,
    identity::fold_username,
    oauth::{Grant, RequestFault, TokenRequest, forward},
    step_up::{Flow, GateError, GatedGrant, Outcome, token_flow},
    types::limits::TOKEN_REQUEST_BYTES_MAX,
};

/// How long the body of a token request may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request at the token endpoint.
pub(super) async fn answer(
    gateway: &Gateway,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<GatewayBody> {
    if request.method() != Method::POST {
        return OwnAnswer::TokenMethodNotAllowed.response();
    }
    let (mut head, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(refused) => return refused.response(),
    };
    let parsed = match TokenRequest::parse(&head.headers, head.uri.query(), &body) {
        Ok(parsed) => parsed,
        Err(fault) => return malformed(&fault),
    };
    drop(body);
    let canonical = match canonical(gateway, &mut head, &parsed, peer) {
        Ok(canonical) => canonical,
        Err(CanonicalError::Request(fault)) => return malformed(&fault),
        Err(CanonicalError::Host(error)) => return OwnAnswer::PassThrough(&error).response(),
    };
    match parsed.grant() {
        Err(fault) => malformed(&fault),
        Ok(Grant::Other) => pass(gateway, canonical).await,
        Ok(Grant::Password(grant)) => match fold_username(grant.username) {
            Err(fault) => OwnAnswer::Username(fault).response(),
            Ok(subject) => {
                let presented = presented(&head.headers);
                let grant = GatedGrant { subject, presented, request: canonical };
                gate(gateway, grant, parsed.state()).await
            }
        },
    }
}

/// A password grant: nothing leaves without the flow's word.
async fn gate(gateway: &Gateway, grant: GatedGrant, state: Option<&str>) -> Response<GatewayBody> {
    let flow = Flow {
        store: &gateway.store,
        upstream: &gateway.upstream,
        clock: &gateway.clock,
        audit: &gateway.audit,
    };
    match token_flow(&flow, grant).await {
        Ok(Outcome::Relay(answer)) => answer.map(GatewayBody::from),
        Ok(Outcome::Challenge(challenge)) => {
            OwnAnswer::Challenge(challenge, state, &gateway.messages).response()
        }
        Err(error) => {
            log(&error);
            OwnAnswer::Gate(&error).response()
        }
    }
}

/// Another grant: the upstream's answer is streamed back.
async fn pass(gateway: &Gateway, request: Request<Bytes>) -> Response<GatewayBody> {
    match gateway.send_own(request).await {
        Ok(response) => response,
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "a token request was not answered");
            OwnAnswer::PassThrough(&error).response()
        }
    }
}

async fn read(body: Incoming) -> Result<Bytes, OwnAnswer<'static>> {
    let whole = Limited::new(body, TOKEN_REQUEST_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(OwnAnswer::BodyTooLarge),
        // The client broke off; nobody reads the answer.
        Ok(Err(_)) | Err(_) => Err(OwnAnswer::BodyTimedOut),
    }
}

enum CanonicalError {
    Request(RequestFault),
    Host(PassThroughError),
}

/// The request that goes upstream: one method, one path, one media type, allowed headers, our encoding.
fn canonical(
    gateway: &Gateway,
    received: &mut http::request::Parts,
    parsed: &TokenRequest,
    peer: Peer,
) -> Result<Request<Bytes>, CanonicalError> {
    let host = effective_host(received).map_err(CanonicalError::Host)?;
    gateway.set_forwarded(&mut received.headers, host.as_ref(), peer);
    let mut headers = forward::token_request_headers(&received.headers).map_err(CanonicalError::Request)?;
    headers.insert(HOST, host.unwrap_or_else(|| gateway.upstream.url().authority().clone()));
    headers.insert(CONTENT_TYPE, parsed.content_type());
    let path = gateway.endpoint.path();
    let target = parsed.encode_query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut request = Request::new(parsed.encode_body());
    *request.method_mut() = Method::POST;
    *request.uri_mut() =
        target.parse().map_err(|_| CanonicalError::Request(RequestFault::query_too_long()))?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn presented(headers: &HeaderMap) -> Presented {
    Presented::from_header_values(headers.get_all(X_DRUPAL_TFA).iter().map(HeaderValue::as_bytes))
}

fn malformed(fault: &RequestFault) -> Response<GatewayBody> {
    debug!(%fault, "a token request was refused");
    OwnAnswer::Malformed(fault).response()
}

fn log(error: &GateError) {
    tracing::error!(error = error as &dyn std::error::Error, "no token was released, for something failed");
}
