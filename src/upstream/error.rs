//! Why the upstream gave no answer.

use std::{io, time::Duration};

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
    /// The connection broke, or what came was not HTTP.
    #[error("the connection to the upstream broke")]
    Broken(#[source] hyper::Error),
    /// As many connections are open as the setting allows.
    #[error("all {0} connections to the upstream are in use ([upstream] connections_max)")]
    Exhausted(usize),
    /// TLS cannot be set up.
    #[error("TLS to the upstream cannot be set up")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}
