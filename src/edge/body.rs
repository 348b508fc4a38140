//! What goes back to a client: words of our own, or an answer of the upstream's, streamed.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::watch::WatchedBody;
use crate::upstream::AnswerBody;

/// Why a body breaks off: the upstream's does, or it is stopped.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A response's body.
#[derive(Debug)]
pub enum GatewayBody {
    /// There whole.
    Full(Bytes),
    /// Streamed from the upstream.
    Answer(AnswerBody),
    /// Streamed, and watched by the tripwire. Boxed, for it is rare and large.
    Watched(Box<WatchedBody>),
}

impl From<Bytes> for GatewayBody {
    fn from(bytes: Bytes) -> Self {
        Self::Full(bytes)
    }
}

impl From<AnswerBody> for GatewayBody {
    fn from(body: AnswerBody) -> Self {
        Self::Answer(body)
    }
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Answer(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Watched(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Answer(body) => body.is_end_stream(),
            Self::Watched(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Answer(body) => body.size_hint(),
            Self::Watched(body) => body.size_hint(),
        }
    }
}
