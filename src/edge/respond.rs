//! The only table from what went wrong, or was denied, to an HTTP response.
//!
//! Invariants: `X-Drupal-TFA` is on every answer about the second factor and on no other; every answer
//! about a token is valid JSON with a description (RFC 6749 section 5.2) and is not cached; a response
//! never carries an error's cause, which goes to the log.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, PRAGMA, RETRY_AFTER},
};
use serde::Serialize;

use super::{GatewayBody, Messages, PassThroughError};
use crate::{
    identity::UsernameFault,
    oauth::RequestFault,
    policy::{Challenge, Denial},
    step_up::{GateError, StoreError, UpstreamFault},
    upstream::{UploadFault, UpstreamError},
};

/// The header that asks for a passcode, and that carries it.
pub(super) const X_DRUPAL_TFA: HeaderName = HeaderName::from_static("x-drupal-tfa");
const SCHEMES: HeaderValue = HeaderValue::from_static("required, schemes=totp");

/// Headers of an answer of our own, with those that the server adds.
const HEADERS: usize = 8;

/// Seconds after which a client may try again when something behind the gateway is out of order.
pub(super) const RETRY_AFTER_OUTAGE_SECS: u64 = 5;
/// Seconds that a client is told to wait when only an administrator can unlock.
const RETRY_AFTER_ADMINISTRATOR_SECS: u64 = 3600;

/// Why a request is neither forwarded nor challenged.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The token request is ambiguous or malformed.
    #[error("a token request was refused")]
    Malformed(#[from] RequestFault),
    /// The user name cannot be a subject.
    #[error("a user name was refused")]
    Username(#[from] UsernameFault),
    /// The token request's body is over its bound.
    #[error("the body of a token request is too large")]
    BodyTooLarge,
    /// The token request's body did not arrive in time.
    #[error("the body of a token request did not arrive in time")]
    BodyTimedOut,
    /// The token request's body ended early, or was not HTTP.
    #[error("the body of a token request is broken")]
    BodyBroken,
    /// The configuration refuses this grant (RFC 6749 section 5.2).
    #[error("a grant type was refused")]
    GrantNotAllowed,
    /// The request names no client, and the configuration wants one (RFC 6749 section 5.2).
    #[error("a token request without a client was refused")]
    NoClient,
    /// A password in the query of an authorization request, where it is not gated.
    #[error("an implicit grant with a password was refused")]
    ImplicitNotAllowed,
    /// Nothing is cleared, for something broke.
    #[error("no token was released, for something failed")]
    Gate(#[from] GateError),
    /// A token was withheld, and no passcode would help.
    #[error("a token was withheld")]
    Denied(Denial),
    /// The client asks too often; it may ask again after so many seconds.
    #[error("a client sends too many token requests ([limits] token_requests_per_minute)")]
    TooOften(u64),
    /// As many requests are under way as the setting allows.
    #[error("too many requests are under way ([limits] requests_max)")]
    Overloaded,
    /// A request could not be passed through.
    #[error("a request was not passed through")]
    PassThrough(#[from] PassThroughError),
    /// The token endpoint knows one method.
    #[error("a request to the token endpoint was no POST")]
    TokenMethodNotAllowed,
    /// A target that could be taken for the token endpoint, but is spelled otherwise.
    #[error("a target that resembles the token endpoint was refused")]
    Disguised,
}

impl Refusal {
    /// What broke is an error or a warning; what a client did wrong is its own business.
    pub(super) fn log(&self) {
        let error: &dyn std::error::Error = self;
        match self {
            Self::Gate(_) => tracing::error!(error, "refused"),
            Self::Overloaded => tracing::warn!(error, "refused"),
            Self::Malformed(fault) => tracing::debug!(error = fault.logged(), "refused"),
            Self::Username(_)
            | Self::BodyTooLarge
            | Self::BodyTimedOut
            | Self::BodyBroken
            | Self::GrantNotAllowed
            | Self::ImplicitNotAllowed
            | Self::Denied(_)
            | Self::NoClient
            | Self::TooOften(_)
            | Self::PassThrough(
                PassThroughError::BadRequest(_)
                | PassThroughError::MethodNotAllowed
                | PassThroughError::Upload(_)
                | PassThroughError::Upstream(UpstreamError::SlowUpload),
            )
            | Self::TokenMethodNotAllowed
            | Self::Disguised => tracing::debug!(error, "refused"),
            Self::PassThrough(PassThroughError::Upstream(_) | PassThroughError::Stopped(_)) => {
                tracing::warn!(error, "refused");
            }
        }
    }

    /// The response.
    pub(super) fn response(&self) -> Response<GatewayBody> {
        match self {
            Self::Malformed(fault) => bad_request(&capitalised(&fault.to_string())),
            Self::Username(fault) => bad_request(&format!("Parameter 'username' {fault}")),
            Self::BodyTooLarge => error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "invalid_request",
                "The body of a token request must be at most 64 KiB",
            ),
            Self::BodyTimedOut => too_slow(),
            Self::Overloaded => overloaded(),
            Self::TooOften(secs) => with_header(
                error(
                    StatusCode::TOO_MANY_REQUESTS,
                    "temporarily_unavailable",
                    "Too many token requests; please wait a moment",
                ),
                RETRY_AFTER,
                (*secs).into(),
            ),
            Self::BodyBroken => bad_request("The body of the request is broken"),
            Self::GrantNotAllowed => error(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "This grant type is not allowed here",
            ),
            Self::NoClient => error(
                StatusCode::BAD_REQUEST,
                "invalid_client",
                "Client credentials were not found in the headers or body",
            ),
            Self::ImplicitNotAllowed => error(
                StatusCode::BAD_REQUEST,
                "unsupported_response_type",
                "A user name and password in the query are not taken here",
            ),
            Self::Gate(GateError::Store(error)) => store_unavailable(error),
            Self::Gate(GateError::Upstream(fault)) => match fault {
                UpstreamFault::Unreachable(_) | UpstreamFault::NotUnderstood(_) => bad_gateway(),
                UpstreamFault::TimedOut(_) => gateway_timeout(),
                UpstreamFault::Overloaded(_) => overloaded(),
            },
            Self::Gate(GateError::Lost) => unavailable("The second factor cannot be checked at the moment"),
            Self::Gate(GateError::Owner(_)) => unavailable("It cannot be told whose token this is"),
            Self::Denied(denial) => denied(*denial),
            Self::PassThrough(error) => pass_through(error),
            Self::TokenMethodNotAllowed => with_header(
                error(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "invalid_request",
                    "The token endpoint takes POST only",
                ),
                ALLOW,
                HeaderValue::from_static("POST"),
            ),
            Self::Disguised => error(
                StatusCode::NOT_FOUND,
                "invalid_request",
                "The token endpoint must be requested by its exact path",
            ),
        }
    }
}

/// Asks for a passcode (again). `state` is echoed as the third member.
pub(super) fn challenged(
    challenge: Challenge,
    state: Option<&str>,
    messages: &Messages,
) -> Response<GatewayBody> {
    let body = ErrorBody { error: "invalid_grant", error_description: &messages.text(challenge), state };
    let response = json(StatusCode::UNAUTHORIZED, &body);
    let response = with_header(response, X_DRUPAL_TFA, SCHEMES);
    match challenge {
        Challenge::PasscodeWanted
        | Challenge::WrongPasscode
        | Challenge::UsedPasscode
        | Challenge::EnrolmentWanted => response,
        Challenge::Locked { for_secs } => with_header(response, RETRY_AFTER, for_secs.into()),
        Challenge::LockedForGood => with_header(response, RETRY_AFTER, RETRY_AFTER_ADMINISTRATOR_SECS.into()),
    }
}

/// Every store error is the same to a client: which one it was is in the log.
fn store_unavailable(error: &StoreError) -> Response<GatewayBody> {
    match error {
        StoreError::Unreachable(_)
        | StoreError::TimedOut { .. }
        | StoreError::Overloaded
        | StoreError::Malformed { .. }
        | StoreError::Sealed { .. }
        | StoreError::Failed(_)
        | StoreError::Refused(_) => unavailable("The second factor cannot be checked at the moment"),
    }
}

/// RFC 6749 section 5.2 has `invalid_grant` for both.
fn denied(denial: Denial) -> Response<GatewayBody> {
    let description = match denial {
        Denial::UnknownAddress => "Please log in with your user name instead of an e-mail address",
        Denial::Policy => "This log-in is not allowed here",
        Denial::IssuedBeforeEnrolment => {
            "The refresh token is from before two-factor authentication was set up. Please log in again."
        }
    };
    error(StatusCode::BAD_REQUEST, "invalid_grant", description)
}

fn pass_through(failed: &PassThroughError) -> Response<GatewayBody> {
    match failed {
        PassThroughError::BadRequest(rule) => bad_request(rule),
        PassThroughError::MethodNotAllowed => {
            error(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "This method is not passed on")
        }
        PassThroughError::Stopped(_) => error(
            StatusCode::BAD_GATEWAY,
            "server_error",
            "The answer of the server behind this gateway was stopped: it holds a token where none is issued",
        ),
        PassThroughError::Upload(UploadFault::TooLarge(bytes)) => error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request",
            &format!("The body of a request must have at most {bytes} bytes"),
        ),
        PassThroughError::Upstream(error) => match error {
            UpstreamError::Timeout(_) => gateway_timeout(),
            UpstreamError::SlowUpload => too_slow(),
            UpstreamError::Exhausted(_) => overloaded(),
            UpstreamError::Unreachable(_)
            | UpstreamError::ConnectTimeout(_)
            | UpstreamError::Broken(_)
            | UpstreamError::Tls(_) => bad_gateway(),
        },
    }
}

fn bad_request(description: &str) -> Response<GatewayBody> {
    error(StatusCode::BAD_REQUEST, "invalid_request", description)
}

fn bad_gateway() -> Response<GatewayBody> {
    error(
        StatusCode::BAD_GATEWAY,
        "temporarily_unavailable",
        "The server behind this gateway cannot be reached",
    )
}

fn gateway_timeout() -> Response<GatewayBody> {
    error(
        StatusCode::GATEWAY_TIMEOUT,
        "temporarily_unavailable",
        "The server behind this gateway did not answer in time",
    )
}

/// RFC 9110 section 15.5.9 has the connection closed, on which the rest may still arrive.
fn too_slow() -> Response<GatewayBody> {
    let response = error(
        StatusCode::REQUEST_TIMEOUT,
        "invalid_request",
        "The body of the request did not arrive in time",
    );
    with_header(response, CONNECTION, HeaderValue::from_static("close"))
}

/// What a client is told that has too many requests of HTTP/2 under way (RFC 6585 section 4).
pub(super) fn too_many_requests() -> Response<GatewayBody> {
    let description = "Too many requests of this client are under way";
    let response = error(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", description);
    with_header(response, RETRY_AFTER, RETRY_AFTER_OUTAGE_SECS.into())
}

/// What a client is told whose request has too many fields (RFC 6585 section 5).
pub(super) fn too_many_fields() -> Response<GatewayBody> {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    error(status, "invalid_request", "The request has too many header fields")
}

fn overloaded() -> Response<GatewayBody> {
    unavailable("Too many requests are under way")
}

fn unavailable(description: &str) -> Response<GatewayBody> {
    let response = error(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", description);
    with_header(response, RETRY_AFTER, RETRY_AFTER_OUTAGE_SECS.into())
}

fn error(status: StatusCode, code: &str, description: &str) -> Response<GatewayBody> {
    json(status, &ErrorBody { error: code, error_description: description, state: None })
}

/// What a client is told (RFC 6749 section 5.2).
#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    error_description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
}

impl ErrorBody<'_> {
    fn to_json(&self) -> String {
        // It is made of texts, which JSON has a place for.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The whole answer on a connection that has no HTTP to carry one, and is closed after it.
pub(super) fn raw(
    status: StatusCode,
    retry_after_secs: Option<u64>,
    code: &str,
    description: &str,
) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let retry_after = retry_after_secs.map_or_else(String::new, |secs| format!("Retry-After: {secs}\r\n"));
    let body = ErrorBody { error: code, error_description: description, state: None }.to_json();
    format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\
        Pragma: no-cache\r\n{retry_after}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        status.as_u16(),
        body.len(),
    )
    .into_bytes()
}

fn json(status: StatusCode, body: &ErrorBody<'_>) -> Response<GatewayBody> {
    let mut response = Response::new(GatewayBody::from(Bytes::from(body.to_json())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

fn with_header(
    mut response: Response<GatewayBody>,
    name: HeaderName,
    value: HeaderValue,
) -> Response<GatewayBody> {
    response.headers_mut().insert(name, value);
    response
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
