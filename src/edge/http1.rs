//! HTTP/1.1 (RFC 9112) on a connection.
//!
//! Invariants: the head of a request has so long, the wait for it included, and two looks more at the most; a
//! connection rests, without the buffers of one that is at work, only between two exchanges, and nothing that was read
//! is lost by it.

use std::{
    cell::Cell,
    convert::Infallible,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1::Builder,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;

use super::{
    GatewayBody, Peer,
    alarm::Alarm,
    body::BodyError,
    connection::Ending,
    listener::ListenSettings,
    respond,
    stream::{Signs, Stream},
    tls::ClientName,
};
use crate::upstream::ClientBody;

/// How often a connection is looked at, at the least: whether a head is late, and whether it may rest. A timer for each
/// request would cost each request more.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same, in parts of the time that a head has.
const LOOKS_PER_HEAD: u32 = 8;
/// How long a client may take for the last word.
const LEFT_WITHIN: Duration = Duration::from_secs(1);

/// What a client is told whose request's head takes too long (RFC 9110 section 15.5.9). A connection that was merely
/// idle is closed without a word, as clients expect.
static LATE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let description = "The request did not arrive in time";
    respond::raw(StatusCode::REQUEST_TIMEOUT, None, "invalid_request", description)
});

/// Serves a connection to its end.
pub(super) async fn serve<T, S, F>(
    stream: T,
    peer: Peer,
    client: Option<ClientName>,
    settings: &ListenSettings,
    ending: Ending,
    service: S,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<ClientBody>, Peer) -> F + 'static,
    F: Future<Output = Response<GatewayBody>> + 'static,
{
    let builder = builder(settings);
    let mut stream = Stream::new(stream);
    let exchanges = Rc::new(Exchanges::of(&stream));
    let begun = Rc::clone(&exchanges);
    let mut service = service_fn(move |mut request: Request<Incoming>| {
        let answering = Open::answer(&begun);
        if let Some(client) = &client {
            request.extensions_mut().insert(client.clone());
        }
        let response = service(request.map(|body| Open::body(&begun, body)), peer);
        async move { Ok::<_, Infallible>(response.await.map(|body| Answer { body, _open: answering })) }
    });
    let mut watch = HeadWatch::start(settings.header_timeout, &exchanges);
    let mut stop = ending.watch(async move { exchanges.first.notified().await });
    let (mut is_stopping, mut is_woken) = (false, false);
    loop {
        // Boxed: while the connection rests, all of it is gone.
        let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut connection = Box::new(connection);
        let mut look = Alarm::after(watch.every);
        let turn = poll_fn(|cx| {
            // What woke it is taken first: hyper ends a connection at once that has taken nothing.
            if std::mem::take(&mut is_woken)
                && let Poll::Ready(ended) = Pin::new(&mut *connection).poll(cx)
            {
                return Poll::Ready(Turn::Ended(ended));
            }
            // Before the connection: what is answered after the stop says that it was the last.
            if stop.has_come(cx) {
                is_stopping = true;
                Pin::new(&mut *connection).graceful_shutdown();
            }
            while look.has_gone_off(cx) {
                match watch.look() {
                    Sight::Late => return Poll::Ready(Turn::Late),
                    Sight::Idle { late_at } if !is_stopping => return Poll::Ready(Turn::Rests(late_at)),
                    Sight::Idle { .. } | Sight::Busy => look.set(watch.every),
                }
            }
            Pin::new(&mut *connection).poll(cx).map(Turn::Ended)
        })
        .await;
        let rests_until = match turn {
            Turn::Ended(Ok(())) => return,
            Turn::Ended(Err(error)) => {
                let error: &dyn std::error::Error = &error;
                return debug!(error, peer = %peer.address, "a connection ended early");
            }
            Turn::Rests(until) => Some(until),
            Turn::Late => None,
        };
        let Some(parts) = unboxed(connection).into_parts() else { return };
        (stream, service) = (parts.io.into_inner(), parts.service);
        let has_more = !parts.read_buf.is_empty();
        stream.give_back(parts.read_buf);
        let goes_on = match rests_until {
            None => false,
            Some(_) if has_more => true,
            Some(late_at) => tokio::select! {
                biased;
                // First of all: a request that came before a stop was seen is answered.
                woken = wake(&mut stream) => woken,
                () = stop.wait() => false,
                () = sleep_until(late_at) => false,
            },
        };
        if !goes_on {
            debug!(peer = %peer.address, "a connection was idle, or the head of a request late");
            let is_late = rests_until.is_none() && stream.signs().has_begun();
            // The client may be gone, or not read.
            let _ = timeout(LEFT_WITHIN, leave(stream, is_late)).await;
            return;
        }
        is_woken = true;
    }
}

/// What is in a box, without the box: of one that was only moved out of, the room is free at the end of the scope.
#[expect(clippy::boxed_local, reason = "that it is taken out of its box is what this is for")]
fn unboxed<T>(boxed: Box<T>) -> T {
    *boxed
}

fn builder(settings: &ListenSettings) -> Builder {
    let mut builder = Builder::new();
    builder
        // It is `HeadWatch` that has an eye on this.
        .header_read_timeout(None)
        .max_buf_size(settings.head_bytes_max)
        .max_header_size(settings.head_bytes_max)
        .max_headers(settings.fields_max)
        // A client that closes its side has left: its request is cancelled, and so is the upstream's.
        .half_close(false);
    builder
}

/// How a connection goes on.
enum Turn {
    Ended(hyper::Result<()>),
    /// The head of a request has not come in time.
    Late,
    /// Nothing is under way. Until then it may wait for the next head.
    Rests(Instant),
}

/// Waits until something comes, and leaves it to be read; `false` if nothing will.
async fn wake<T: AsyncRead + Unpin>(stream: &mut Stream<T>) -> bool {
    let mut first = [0];
    let has_come = matches!(stream.read(&mut first).await, Ok(1));
    if has_come {
        stream.give_back(Bytes::copy_from_slice(&first));
    }
    has_come
}

/// Ends a connection, with a word if a request was late.
async fn leave<T: AsyncRead + AsyncWrite + Unpin>(mut stream: Stream<T>, is_late: bool) -> io::Result<()> {
    if is_late {
        stream.write_all(&LATE).await?;
    }
    stream.shutdown().await
}

/// The exchanges of a connection: which one it is at.
struct Exchanges {
    first: Notify,
    /// Requests so far; it may wrap around.
    count: Cell<u32>,
    /// What of them is not over: bodies that come, answers that leave.
    open: Cell<u32>,
    signs: Arc<Signs>,
}

impl Exchanges {
    fn of<T>(stream: &Stream<T>) -> Self {
        Self { first: Notify::new(), count: Cell::new(0), open: Cell::new(0), signs: stream.signs() }
    }
}

/// A body that still comes, or an answer that still leaves.
struct Open(Rc<Exchanges>);

impl Open {
    fn new(exchanges: &Rc<Exchanges>) -> Self {
        exchanges.open.set(exchanges.open.get() + 1);
        Self(Rc::clone(exchanges))
    }

    /// The answer to a request that has begun.
    fn answer(exchanges: &Rc<Exchanges>) -> Self {
        if exchanges.count.get() == 0 {
            exchanges.first.notify_one();
        }
        exchanges.count.set(exchanges.count.get().wrapping_add(1));
        Self::new(exchanges)
    }

    /// The body of a request.
    fn body(exchanges: &Rc<Exchanges>, body: Incoming) -> ClientBody {
        if body.is_end_stream() { body.into() } else { ClientBody::holding(body, Self::new(exchanges)) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        // What comes after a body belongs to the next message.
        self.0.signs.begins();
    }
}

/// What is to be thought of a connection.
enum Sight {
    /// It is at work, or has been a moment ago.
    Busy,
    /// Nothing is under way, in either direction. When the next head is late.
    Idle { late_at: Instant },
    /// It has waited too long for the rest of a head.
    Late,
}

/// Sees whether heads come in time, by looking at a connection every now and then.
struct HeadWatch {
    limit: Duration,
    every: Duration,
    exchanges: Rc<Exchanges>,
    /// The request that was the last one at the last look.
    count: u32,
    /// Since when, at the most, the next one is waited for.
    since: Option<Instant>,
}

impl HeadWatch {
    fn start(limit: Duration, exchanges: &Rc<Exchanges>) -> Self {
        let every = LOOK_EVERY.min(limit / LOOKS_PER_HEAD);
        let since = Some(Instant::now());
        Self { limit, every, exchanges: Rc::clone(exchanges), count: 0, since }
    }

    fn look(&mut self) -> Sight {
        let now = Instant::now();
        let (count, exchanges) = (self.exchanges.count.get(), &self.exchanges);
        if exchanges.open.get() > 0 || exchanges.signs.is_blocked() {
            self.since = None;
            return Sight::Busy;
        }
        if self.count != count {
            (self.count, self.since) = (count, None);
        }
        let since = *self.since.get_or_insert(now);
        let waited = now - since;
        if waited >= self.limit {
            Sight::Late
        } else if waited >= self.every && !exchanges.signs.has_begun() {
            Sight::Idle { late_at: since + self.limit }
        } else {
            Sight::Busy
        }
    }
}

/// An answer that is being handed over.
struct Answer {
    body: GatewayBody,
    _open: Open,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
