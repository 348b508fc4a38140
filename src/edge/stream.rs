//! The stream under a connection of HTTP/1.1: it takes back what was read too early, and tells what moved.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that is watched.
pub(super) struct Stream<T> {
    inner: T,
    /// Read already, and given back.
    unread: Bytes,
    signs: Arc<Signs>,
}

/// What can be told of a stream while the server has it. Atomic because hyper asks streams that may be upgraded to be
/// good for every thread; there is only one.
#[derive(Debug, Default)]
pub(super) struct Signs {
    has_begun: AtomicBool,
    is_blocked: AtomicBool,
}

impl Signs {
    /// Whether something of the next message has come.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Relaxed)
    }

    /// What comes from now on is the next message.
    pub(super) fn begins(&self) {
        self.has_begun.store(false, Relaxed);
    }

    /// Whether something that was written has not left yet.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Relaxed)
    }
}

impl<T> Stream<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, unread: Bytes::new(), signs: Arc::default() }
    }

    pub(super) fn signs(&self) -> Arc<Signs> {
        Arc::clone(&self.signs)
    }

    /// These are to be read once more, before all else.
    pub(super) fn give_back(&mut self, bytes: Bytes) {
        self.unread = match (bytes.is_empty(), self.unread.is_empty()) {
            (true, _) => return,
            (false, true) => bytes,
            (false, false) => [bytes, std::mem::take(&mut self.unread)].concat().into(),
        };
    }

    fn wrote<N>(&self, polled: Poll<io::Result<N>>) -> Poll<io::Result<N>> {
        self.signs.is_blocked.store(polled.is_pending(), Relaxed);
        polled
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = if self.unread.is_empty() {
            Pin::new(&mut self.inner).poll_read(cx, buf)
        } else {
            let length = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread[..length]);
            self.unread.advance(length);
            Poll::Ready(Ok(()))
        };
        if buf.filled().len() > before {
            self.signs.has_begun.store(true, Relaxed);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.signs.begins();
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.wrote(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.wrote(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.wrote(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.signs.begins();
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
