//! Every request that is not the token endpoint's: to the upstream and back, streaming both ways.
//!
//! What is not passed on: fields of one connection, names that CGI takes for others, the passcode, upgrades
//! other than to WebSocket, `CONNECT` and `TRACE`. Interim responses other than 100 stay here: hyper's
//! server cannot send them; RFC 9110 section 15.2 has clients do without. No `Via` is added (RFC 9110
//! section 7.6.3): some servers switch compression off when they see one.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, EXPECT, HOST, UPGRADE},
    request::Parts,
    uri::PathAndQuery,
};
use hyper::body::Body as _;

use super::{Gateway, GatewayBody, Peer, tunnel, watch::Watch};
use crate::{
    headers::{
        Forwarded, ask_legibly, drop_ambiguous_names, remove_from_request, remove_from_response,
        set_forwarded,
    },
    oauth::tripwire::Tripped,
    upstream::{ClientBody, ContinueGate, Progress, UploadFault, UpstreamBody, UpstreamError},
};

/// Why a request was not passed through.
#[derive(Debug, thiserror::Error)]
pub enum PassThroughError {
    /// It breaks a rule of HTTP that others may read differently.
    #[error("{0}")]
    BadRequest(&'static str),
    /// `CONNECT` and `TRACE`.
    #[error("this method is not passed on")]
    MethodNotAllowed,
    /// The client sends too much.
    #[error(transparent)]
    Upload(#[from] UploadFault),
    /// The upstream gave no answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The answer issues a token, or cannot be looked into.
    #[error("the answer was stopped: {0}")]
    Stopped(#[from] Tripped),
}

impl Gateway {
    /// Passes one request through.
    pub(super) async fn relay(
        &self,
        mut request: Request<ClientBody>,
        peer: Peer,
    ) -> Result<Response<GatewayBody>, PassThroughError> {
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return Err(PassThroughError::MethodNotAllowed);
        }
        let client_upgrade = hyper::upgrade::on(&mut request);
        let (mut head, body) = request.into_parts();
        let host = effective_host(&head)?;
        if head.version < Version::HTTP_11 {
            // HTTP/1.0 has neither (RFC 9110 sections 7.8 and 10.1.1).
            head.headers.remove(UPGRADE);
            head.headers.remove(EXPECT);
        }
        let wants_websocket = remove_from_request(&mut head.headers);
        drop_ambiguous_names(&mut head.headers);
        let watch = Watch::over(&self.tripwire, &self.audit, &head);
        if watch.is_some() {
            ask_legibly(&mut head.headers);
        }
        self.set_forwarded(&mut head.headers, host.as_ref(), peer);
        head.headers.insert(HOST, host.unwrap_or_else(|| self.upstream.url().authority().clone()));
        head.uri = origin_form(&head.uri);
        head.version = Version::HTTP_11;
        // A body's length is its framing's to say; of an empty one the client has said whether it is one.
        if head.headers.remove(CONTENT_LENGTH).is_some() && body.is_end_stream() {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }

        let uploads = self.limits.uploads;
        if body.size_hint().lower() > uploads.bytes_max {
            return Err(UploadFault::TooLarge(uploads.bytes_max).into());
        }
        let progress = Progress::start(uploads);
        let gate = expects_continue(&head, &body).then(ContinueGate::default);
        let body = match &gate {
            _ if body.is_end_stream() => UpstreamBody::full(Bytes::new()),
            Some(gate) => UpstreamBody::gated(body, progress.clone(), gate.clone()),
            None => UpstreamBody::client(body, progress.clone()),
        };
        let mut request = Request::from_parts(head, body);
        if let Some(gate) = gate.clone() {
            hyper::ext::on_informational(&mut request, move |interim| {
                if interim.status() == StatusCode::CONTINUE {
                    gate.open();
                }
            });
        }
        let mut response = self.upstream.relay(request, &progress).await.map_err(|error| {
            if let Some(fault) = progress.fault() {
                return fault.into();
            }
            if error.is_of_request_body() {
                return PassThroughError::BadRequest("The body of the request broke off or is malformed");
            }
            error.into()
        })?;
        if let Some(gate) = gate {
            gate.close(response.body_mut());
        }
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return match watch {
                Some(watch) => Ok(watch.pass(without_hop_by_hop(response, false)).await?),
                None => Ok(without_hop_by_hop(response, false).map(Into::into)),
            };
        }
        if !(wants_websocket && is_websocket(response.headers())) {
            return Err(UpstreamError::unexpected("it switches to a protocol that nobody asked for").into());
        }
        let upstream_upgrade = hyper::upgrade::on(&mut response);
        let (head, body) = response.into_parts();
        tunnel::join(client_upgrade, upstream_upgrade, body.into_tunnel_place());
        Ok(without_hop_by_hop(Response::from_parts(head, GatewayBody::from(Bytes::new())), true))
    }

    /// Sends a request of the gateway's own making, and streams the answer back.
    pub(super) async fn send_own(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<GatewayBody>, PassThroughError> {
        let response = self.upstream.send(request.map(UpstreamBody::full)).await?;
        Ok(without_hop_by_hop(response, false).map(Into::into))
    }

    /// Writes `X-Forwarded-*` for the upstream.
    pub(super) fn set_forwarded(&self, headers: &mut HeaderMap, host: Option<&HeaderValue>, peer: Peer) {
        let is_trusted = self.trusted_proxies.contains(peer);
        set_forwarded(headers, Forwarded { peer: peer.address.ip(), is_tls: peer.is_tls, is_trusted, host });
    }
}

/// A 101 that names no protocol, or another one, is no tunnel: bytes of a client would lead past the gateway.
fn is_websocket(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn without_hop_by_hop<B>(mut response: Response<B>, is_upgrade: bool) -> Response<B> {
    remove_from_response(response.headers_mut(), is_upgrade);
    *response.version_mut() = Version::HTTP_11;
    response
}

/// The host that a request is for: of its target if that has one (RFC 9112 section 3.2.2), else of its one
/// `Host` line. HTTP/1.0 may have none. Two of them are refused, for servers differ in which one counts.
pub(super) fn effective_host(head: &Parts) -> Result<Option<HeaderValue>, PassThroughError> {
    let mut lines = head.headers.get_all(HOST).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return Err(PassThroughError::BadRequest("A request must have one Host header only"));
    }
    if line.is_none() && head.version >= Version::HTTP_11 {
        return Err(PassThroughError::BadRequest("A request must have a Host header"));
    }
    let plain = |bytes: &[u8]| bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~:[]%".contains(b));
    if line.is_some_and(|value| !plain(value.as_bytes())) {
        return Err(PassThroughError::BadRequest(
            "The Host header must be a host name, with or without a port",
        ));
    }
    match head.uri.authority() {
        Some(authority) if plain(authority.as_str().as_bytes()) => {
            Ok(HeaderValue::from_str(authority.as_str()).ok())
        }
        Some(_) => Err(PassThroughError::BadRequest("The target must not have a user name")),
        None => Ok(line.cloned()),
    }
}

/// Path and query, byte for byte.
fn origin_form(target: &Uri) -> Uri {
    target.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")).into()
}

fn expects_continue(head: &Parts, body: &ClientBody) -> bool {
    !body.is_end_stream()
        && head
            .headers
            .get(EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_names_websocket_opens_a_tunnel() {
        for (protocol, opens) in
            [(Some("websocket"), true), (Some("WebSocket"), true), (Some("h2c"), false), (None, false)]
        {
            let headers = protocol.map(|p| (UPGRADE, HeaderValue::from_static(p))).into_iter().collect();
            assert_eq!(is_websocket(&headers), opens, "{protocol:?}");
        }
    }
}
