//! Bodies on their way up and down. They stream frame by frame, trailers included.

use std::{
    any::Any,
    future::Future as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use super::{
    Progress,
    pool::{Lease, TunnelPlace},
};
use crate::headers::drop_ambiguous_names;

/// The body of a client's request. Until it was read to its end, or is not wanted any more, it holds what its
/// connection has it hold.
#[derive(Debug)]
pub struct ClientBody {
    body: Incoming,
    held: Option<Box<dyn Any>>,
}

impl ClientBody {
    /// One that holds something.
    pub fn holding(body: Incoming, held: impl Any) -> Self {
        Self { body, held: Some(Box::new(held)) }
    }
}

impl From<Incoming> for ClientBody {
    fn from(body: Incoming) -> Self {
        Self { body, held: None }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        // Where the length was said, the end is known with the last piece. The server tells of it only later, if an
        // answer has overtaken the body: with the next request.
        if self.body.is_end_stream() || !matches!(frame, Some(Ok(_))) {
            self.held = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How long a client that wants to be told to go on waits for an upstream that does not say so.
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether a client that asked first (`Expect: 100-continue`, RFC 9110 section 10.1.1) may send its body.
///
/// Reading the body is what makes the gateway's server say `100 Continue`, so it is not read before the
/// upstream has said so, or has been silent for a second. A body that is not wanted breaks off, and its
/// connection with it, only when the answer that came instead was read.
#[derive(Debug, Clone, Default)]
pub struct ContinueGate(Arc<Gate>);

#[derive(Debug, Default)]
struct Gate {
    state: AtomicU8,
    waker: AtomicWaker,
}

const WAITING: u8 = 0;
const OPEN: u8 = 1;
const CLOSED: u8 = 2;
const ENDED: u8 = 3;

impl ContinueGate {
    /// The upstream said 100.
    pub fn open(&self) {
        self.change(WAITING, OPEN);
    }

    /// The upstream has answered already: unless the body is on its way, it is not wanted.
    pub fn close(self, answer: &mut AnswerBody) {
        self.change(WAITING, CLOSED);
        answer.refusal = Some(Refusal(self));
    }

    fn change(&self, from: u8, to: u8) {
        // The first word counts: an open gate is not closed under a body that is on its way.
        let _ = self.0.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        self.0.waker.wake();
    }
}

/// Dropped with the answer to a request whose body may not be wanted.
#[derive(Debug)]
struct Refusal(ContinueGate);

impl Drop for Refusal {
    fn drop(&mut self) {
        self.0.change(CLOSED, ENDED);
    }
}

/// A request's body on its way to the upstream.
#[derive(Debug)]
pub struct UpstreamBody(Kind);

#[derive(Debug)]
enum Kind {
    Full(Option<Bytes>),
    Client(ClientBody, Progress),
    Gated(Box<Gated>),
}

#[derive(Debug)]
struct Gated {
    body: ClientBody,
    progress: Progress,
    gate: ContinueGate,
    timeout: Pin<Box<Sleep>>,
}

impl UpstreamBody {
    /// A body that is there whole.
    pub const fn full(bytes: Bytes) -> Self {
        Self(Kind::Full(Some(bytes)))
    }

    /// Whether it comes from a client, who may take its time.
    pub(super) const fn is_upload(&self) -> bool {
        !matches!(self.0, Kind::Full(_))
    }

    /// A client's body, streamed.
    pub const fn client(body: ClientBody, progress: Progress) -> Self {
        Self(Kind::Client(body, progress))
    }

    /// A client's body, streamed when the gate opens.
    pub fn gated(body: ClientBody, progress: Progress, gate: ContinueGate) -> Self {
        let timeout = Box::pin(sleep(CONTINUE_TIMEOUT));
        Self(Kind::Gated(Box::new(Gated { body, progress, gate, timeout })))
    }
}

type BodyError = Box<dyn std::error::Error + Send + Sync>;

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Full(bytes) => {
                Poll::Ready(bytes.take().filter(|b| !b.is_empty()).map(|b| Ok(Frame::data(b))))
            }
            Kind::Client(body, progress) => poll_client(body, progress, cx),
            Kind::Gated(gated) => gated.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Kind::Client(body, _) => body.is_end_stream(),
            Kind::Gated(gated) => gated.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Kind::Client(body, _) => body.size_hint(),
            Kind::Gated(gated) => gated.body.size_hint(),
        }
    }
}

impl Gated {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // Registered before the state is read, so that no change is missed.
        self.gate.0.waker.register(cx.waker());
        loop {
            match self.gate.0.state.load(Ordering::Acquire) {
                OPEN => return poll_client(&mut self.body, &self.progress, cx),
                CLOSED => return Poll::Pending,
                ENDED => {
                    return Poll::Ready(Some(Err("the upstream answered before the body was sent".into())));
                }
                _ => {
                    ready!(self.timeout.as_mut().poll(cx));
                    self.gate.open();
                }
            }
        }
    }
}

fn poll_client(
    body: &mut ClientBody,
    progress: &Progress,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    let Poll::Ready(mut frame) = Pin::new(body).poll_frame(cx) else {
        progress.waits();
        return Poll::Pending;
    };
    let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
    if let Err(fault) = progress.moved(data.map_or(0, Bytes::len)) {
        return Poll::Ready(Some(Err(fault.into())));
    }
    // Some servers merge trailers into the headers.
    if let Some(Ok(frame)) = &mut frame
        && let Some(trailers) = frame.trailers_mut()
    {
        drop_ambiguous_names(trailers);
    }
    Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
}

/// An answer's body. It takes its connection back to the pool when it was read to the end, and closes it
/// when it is dropped before.
#[derive(Debug)]
pub struct AnswerBody {
    body: Incoming,
    lease: Option<Lease>,
    refusal: Option<Refusal>,
}

impl AnswerBody {
    pub(super) fn new(body: Incoming, lease: Lease) -> Self {
        let mut answer = Self::of_tunnel(body, lease);
        answer.return_if_read();
        answer
    }

    /// The body, which is empty, of an answer after which the connection belongs to a tunnel.
    pub(super) const fn of_tunnel(body: Incoming, lease: Lease) -> Self {
        Self { body, lease: Some(lease), refusal: None }
    }

    /// What a tunnel holds while it lasts, so that it counts as a connection.
    pub fn into_tunnel_place(self) -> Option<TunnelPlace> {
        self.lease.map(Lease::into_place)
    }

    fn return_if_read(&mut self) {
        if self.body.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => self.return_if_read(),
            Some(Err(_)) => self.lease = None,
            None => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
