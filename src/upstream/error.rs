//! Why the upstream gave no answer.

use std::{io, time::Duration};

use crate::step_up::UpstreamFailure;

/// What went wrong on the way to the upstream, or back.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection.
    #[error("no connection to the upstream")]
    Unreachable(#[source] io::Error),
    /// No connection in time.
    #[error("no connection to the upstream within {0:?}")]
    ConnectTimeout(Duration),
    /// No answer in time.
    #[error("no answer from the upstream within {0:?}")]
    Timeout(Duration),
    /// The connection broke, or what came was not what HTTP allows.
    #[error("the upstream's answer broke off, or is not HTTP")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A client sends its request too slowly.
    #[error("the body of the request comes too slowly")]
    SlowUpload,
    /// As many connections are open as the setting allows.
    #[error("all {0} connections to the upstream are in use ([upstream] connections_max)")]
    Exhausted(usize),
    /// TLS cannot be set up.
    #[error("TLS to the upstream cannot be set up")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl UpstreamError {
    /// The upstream answered with something that it was not asked for.
    pub fn unexpected(what: &'static str) -> Self {
        Self::Broken(what.into())
    }

    /// What of it the upstream is to blame for, as it is measured.
    pub(super) fn as_failure(&self) -> Option<UpstreamFailure> {
        match self {
            Self::SlowUpload => None,
            Self::Broken(_) if self.is_of_request_body() => None,
            Self::Broken(_) => Some(UpstreamFailure::Broken),
            Self::Unreachable(_) | Self::ConnectTimeout(_) | Self::Tls(_) => {
                Some(UpstreamFailure::Unreachable)
            }
            Self::Timeout(_) => Some(UpstreamFailure::TimedOut),
            Self::Exhausted(_) => Some(UpstreamFailure::Overloaded),
        }
    }

    /// Whether it was the client's body that broke off or was malformed, and not the upstream's answer.
    pub fn is_of_request_body(&self) -> bool {
        match self {
            Self::Broken(source) => source.downcast_ref().is_some_and(hyper::Error::is_user),
            Self::Unreachable(_)
            | Self::ConnectTimeout(_)
            | Self::Timeout(_)
            | Self::SlowUpload
            | Self::Exhausted(_)
            | Self::Tls(_) => false,
        }
    }
}
