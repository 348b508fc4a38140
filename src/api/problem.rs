//! The only table from what went wrong to a response, in the form of RFC 9457.
//!
//! Invariants: a response carries no error's cause, which goes to the log, and nothing of what was sent but names;
//! each `type` leads to its description in the document.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::json;

use super::access::{AccessFault, Right};
use crate::{
    admin::AdminError,
    step_up::{EditDenial, StoreError},
};

/// Seconds after which a client may try again when the store is out of order.
const RETRY_AFTER_OUTAGE_SECS: u64 = 5;
/// Seconds after which a client may try again when too many fail to say who they are.
const RETRY_AFTER_FLOOD_SECS: u64 = 1;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0}")]
    Access(AccessFault),
    #[error("too many requests failed to show a token that is known")]
    TooManyFailures,
    #[error("the token may not {}", .0.as_str())]
    MayNot(Right),
    #[error("a page in a browser may not change anything with a client certificate")]
    FromPage,
    #[error("there is nothing of that path")]
    NoSuchPath,
    #[error("that path is for {0} only")]
    MethodNotAllowed(String),
    #[error("the body must have 64 KiB at most")]
    BodyTooLarge,
    #[error("the body did not arrive in time")]
    BodyTimedOut,
    #[error("the body must be application/json")]
    NotJson,
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Unsuitable(String),
    #[error("the subject has no factor of that id")]
    NoSuchFactor,
    #[error("the subject has no device of that id")]
    NoSuchDevice,
    #[error("that name is no alias")]
    NoSuchAlias,
    #[error("the gateway is being stopped; nothing was changed")]
    Stopping,
    #[error("the change was interrupted; it is not known whether it was made")]
    Interrupted(#[source] tokio::task::JoinError),
    #[error(transparent)]
    Admin(#[from] AdminError),
}

/// The responses that the document describes.
#[cfg(test)]
pub(super) const NAMES: [&str; 15] = [
    "BodyTimedOut",
    "BodyTooLarge",
    "Failed",
    "Forbidden",
    "Malformed",
    "MethodNotAllowed",
    "NotFound",
    "NotJson",
    "NotRecorded",
    "Refused",
    "TooManyFailures",
    "Unauthorized",
    "Unavailable",
    "Unreadable",
    "Unsuitable",
];

/// A row of the table: status, name in the document, what it is in few words.
type Row = (StatusCode, &'static str, &'static str);

const NOT_FOUND: Row = (StatusCode::NOT_FOUND, "NotFound", "There is no such thing");
const UNSUITABLE: Row = (StatusCode::UNPROCESSABLE_ENTITY, "Unsuitable", "A value is not suitable");
const UNAVAILABLE: Row =
    (StatusCode::SERVICE_UNAVAILABLE, "Unavailable", "The store does not answer at the moment");

const REFUSED: Row = (StatusCode::CONFLICT, "Refused", "The rules do not allow that change");

impl Problem {
    fn row(&self) -> Row {
        match self {
            Self::Access(AccessFault::TwoHeaders) | Self::Malformed(_) => {
                (StatusCode::BAD_REQUEST, "Malformed", "The request is malformed")
            }
            Self::Access(AccessFault::Nothing | AccessFault::NotBearer | AccessFault::UnknownToken) => {
                (StatusCode::UNAUTHORIZED, "Unauthorized", "It is not known who calls")
            }
            Self::TooManyFailures => {
                (StatusCode::TOO_MANY_REQUESTS, "TooManyFailures", "Too many requests failed to show a token")
            }
            Self::MayNot(_) | Self::FromPage => {
                (StatusCode::FORBIDDEN, "Forbidden", "The caller may not do that")
            }
            Self::NoSuchPath | Self::NoSuchFactor | Self::NoSuchDevice | Self::NoSuchAlias => NOT_FOUND,
            Self::MethodNotAllowed(_) => {
                (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "There is no such method here")
            }
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge", "The body is too large"),
            Self::BodyTimedOut => (StatusCode::REQUEST_TIMEOUT, "BodyTimedOut", "The body came too late"),
            Self::NotJson => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "NotJson", "The body is of another media type")
            }
            Self::Unsuitable(_) | Self::Admin(AdminError::WrongPasscode) => UNSUITABLE,
            Self::Stopping => UNAVAILABLE,
            Self::Interrupted(_) | Self::Admin(AdminError::File(_)) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "Failed", "The gateway failed")
            }
            Self::Admin(AdminError::Store(error)) => of_store(error),
            Self::Admin(AdminError::NotEnrolled { .. }) => REFUSED,
            Self::Admin(AdminError::NotRecorded(_)) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "NotRecorded",
                "The change was made, but it is not in the audit trail",
            ),
        }
    }

    /// What a person is told. What broke is named, and why is in the log.
    fn detail(&self) -> String {
        match self {
            Self::Admin(AdminError::Store(StoreError::TimedOut { .. })) => {
                "the store did not answer in time; it is not known whether anything was changed".into()
            }
            _ => self.to_string(),
        }
    }

    /// What broke is an error or a warning; what a client did wrong is its own business.
    pub(super) fn log(&self) {
        let error: &dyn std::error::Error = self;
        if self.row().0.is_server_error() {
            tracing::error!(error, "administration failed");
        } else {
            tracing::debug!(error, "administration refused");
        }
    }

    /// The response.
    pub(super) fn response(&self) -> Response<Bytes> {
        let (status, name, title) = self.row();
        let body = json!({
            "type": format!("/api/v1/openapi.json#/components/responses/{name}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail(),
        });
        let mut response = json_response(status, &body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((header, value)) = self.header() {
            headers.insert(header, value);
        }
        response
    }

    /// The header that belongs to the status.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        Some(match self {
            Self::Access(fault) => {
                // RFC 6750 section 3.1: without any credentials no error is named.
                let challenge = match fault {
                    AccessFault::Nothing => "Bearer realm=\"tfa-gateway\"",
                    AccessFault::TwoHeaders | AccessFault::NotBearer => {
                        "Bearer realm=\"tfa-gateway\", error=\"invalid_request\""
                    }
                    AccessFault::UnknownToken => "Bearer realm=\"tfa-gateway\", error=\"invalid_token\"",
                };
                (WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
            }
            Self::MayNot(Right::Read) => (
                WWW_AUTHENTICATE,
                HeaderValue::from_static(
                    "Bearer realm=\"tfa-gateway\", error=\"insufficient_scope\", scope=\"read\"",
                ),
            ),
            Self::MayNot(Right::Write) => (
                WWW_AUTHENTICATE,
                HeaderValue::from_static(
                    "Bearer realm=\"tfa-gateway\", error=\"insufficient_scope\", scope=\"write\"",
                ),
            ),
            Self::MethodNotAllowed(allowed) => (ALLOW, HeaderValue::from_str(allowed).ok()?),
            Self::TooManyFailures => (RETRY_AFTER, RETRY_AFTER_FLOOD_SECS.into()),
            // The rest of the body is not waited for.
            Self::BodyTooLarge | Self::BodyTimedOut => (CONNECTION, HeaderValue::from_static("close")),
            _ if self.row().0 == StatusCode::SERVICE_UNAVAILABLE => {
                (RETRY_AFTER, RETRY_AFTER_OUTAGE_SECS.into())
            }
            _ => return None,
        })
    }
}

fn of_store(error: &StoreError) -> Row {
    match error {
        StoreError::Unreachable(_)
        | StoreError::TimedOut { .. }
        | StoreError::Overloaded
        | StoreError::Failed(_) => UNAVAILABLE,
        StoreError::Malformed { .. } | StoreError::Sealed { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "Unreadable", "A record of the subject cannot be read")
        }
        StoreError::Refused(denial) => of_denial(*denial),
    }
}

fn of_denial(denial: EditDenial) -> Row {
    match denial {
        EditDenial::NoSuchFactor => NOT_FOUND,
        EditDenial::BadSearch | EditDenial::BadCursor | EditDenial::OldCursor | EditDenial::BadPlace => {
            UNSUITABLE
        }
        EditDenial::Contended => UNAVAILABLE,
        EditDenial::TooManyFactors
        | EditDenial::TooManyCodes
        | EditDenial::TakenId
        | EditDenial::NotPending
        | EditDenial::Waits
        | EditDenial::IsPlain
        | EditDenial::OthersCount
        | EditDenial::NotEnrolled
        | EditDenial::IsAlias
        | EditDenial::ResetOfAlias
        | EditDenial::IsEnrolled
        | EditDenial::SameSubject
        | EditDenial::AliasOfAlias
        | EditDenial::BadLabel
        | EditDenial::BadSecret
        | EditDenial::BadDigest
        | EditDenial::TooLong
        | EditDenial::NoEvents => REFUSED,
    }
}

/// A response in JSON, which nobody may keep.
pub(super) fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
