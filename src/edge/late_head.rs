//! What a client is told whose request's head takes too long: 408 (RFC 9110 section 15.5.9).
//!
//! hyper closes such a connection without a word. So its stream says it, when it is dropped for that reason and a part
//! of a head has come; a connection that was merely idle is closed without one, as clients expect.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::respond;

static ANSWER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let description = "The request did not arrive in time";
    respond::raw(StatusCode::REQUEST_TIMEOUT, None, "invalid_request", description)
});

/// A stream that is watched for it.
pub(super) struct LateHead<T: AsyncWrite + Unpin> {
    stream: T,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Something has come since the last answer.
    has_begun: AtomicBool,
    is_late: AtomicBool,
}

/// What tells the stream.
pub(super) struct Late(Arc<State>);

impl Late {
    /// It was for that reason: the stream is to say so.
    pub(super) fn answer(&self) {
        self.0.is_late.store(true, Relaxed);
    }
}

impl<T: AsyncWrite + Unpin> LateHead<T> {
    /// Watches a stream.
    pub(super) fn watch(stream: T) -> (Self, Late) {
        let state = Arc::<State>::default();
        (Self { stream, state: Arc::clone(&state) }, Late(state))
    }
}

impl<T: AsyncWrite + Unpin> Drop for LateHead<T> {
    fn drop(&mut self) {
        if self.state.is_late.load(Relaxed) && self.state.has_begun.load(Relaxed) {
            // Nobody waits here: what the kernel does not take at once is not said.
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(Ok(_)) = Pin::new(&mut self.stream).poll_write(&mut context, &ANSWER) {
                let _ = Pin::new(&mut self.stream).poll_flush(&mut context);
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for LateHead<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.state.has_begun.store(true, Relaxed);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for LateHead<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.state.has_begun.store(false, Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.state.has_begun.store(false, Relaxed);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
