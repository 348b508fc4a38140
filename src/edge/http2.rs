//! HTTP/2 (RFC 9113) on a connection that agreed to it in its TLS handshake.
//!
//! Invariants: each request goes on as one of HTTP/1.1 would; a connection without a request, or with an answer that
//! the client does not take, is closed in the same time as one of HTTP/1.1.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{self, poll_fn},
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Version,
    header::{CONTENT_LENGTH, COOKIE, HOST},
};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    rt::Executor,
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::spawn_local,
    time::Instant,
};
use tracing::debug;

use super::{
    GatewayBody, Peer,
    alarm::Alarm,
    body::BodyError,
    clients::{Place, Share},
    connection::Ending,
    listener::ListenSettings,
    respond,
};
use crate::upstream::ClientBody;

/// Bytes of a request's body that a client may send unasked, and of all bodies of a connection: what pass-through
/// holds for a stalled upstream.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of an answer that wait for the client.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// Serves a connection to its end.
pub(super) async fn serve<S, F>(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    peer: Peer,
    settings: &ListenSettings,
    ending: Ending,
    requests: Share,
    service: S,
) where
    S: Fn(Request<ClientBody>, Peer) -> F + 'static,
    F: Future<Output = Response<GatewayBody>> + 'static,
{
    let streams = Rc::new(Streams::default());
    let (seen, fields_max) = (Rc::clone(&streams), settings.fields_max);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let is_head = request.method() == Method::HEAD;
        let answering = if request.headers().len() > fields_max {
            Err(respond::too_many_fields())
        } else if let Some(place) = requests.enter() {
            as_http1(&mut request);
            // Boxed: on its way to a task of its own it is moved several times.
            Ok((Box::pin(service(request.map(ClientBody::from), peer)), place))
        } else {
            Err(respond::too_many_requests())
        };
        let open = Open::new(&seen);
        async move {
            let (response, place) = match answering {
                Ok((response, place)) => (response.await, Some(place)),
                Err(refused) => (refused, None),
            };
            let response = if is_head { without_content(response) } else { response };
            Ok::<_, Infallible>(response.map(|body| open.over(body, place)))
        }
    });
    let mut builder = http2::Builder::new(OnThisThread);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.http2_streams_max)
        .max_header_list_size(u32::try_from(settings.head_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(settings.header_timeout)
        .keep_alive_timeout(settings.header_timeout);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let limit = settings.header_timeout;
    let mut stop = ending.watch(future::pending());
    let (mut look, mut is_last_look) = (Alarm::after(limit), false);
    let served = poll_fn(|cx| {
        if stop.has_come(cx) {
            connection.as_mut().graceful_shutdown();
        }
        while look.has_gone_off(cx) {
            if is_last_look {
                return Poll::Ready(Ok(()));
            }
            let left = streams.stuck_in(limit);
            if left.is_zero() {
                debug!(peer = %peer.address, "a connection of HTTP/2 is idle, or its answers are not taken");
                is_last_look = true;
                connection.as_mut().graceful_shutdown();
            }
            look.set(if is_last_look { limit } else { left });
        }
        connection.as_mut().poll(cx)
    })
    .await;
    if let Err(error) = served {
        debug!(error = &error as &dyn std::error::Error, peer = %peer.address, "a connection ended early");
    }
}

/// To HEAD an answer has the head alone (RFC 9110 section 9.3.2), as hyper sees to in HTTP/1.1.
fn without_content(response: Response<GatewayBody>) -> Response<GatewayBody> {
    let GatewayBody::Full(bytes) = response.body() else { return response };
    let length = bytes.len();
    let mut response = response.map(|_| GatewayBody::from(Bytes::new()));
    if length > 0 {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}

/// What HTTP/2 writes otherwise is written as in HTTP/1.1, for all that judge requests, and for the upstream.
fn as_http1(request: &mut Request<Incoming>) {
    *request.version_mut() = Version::HTTP_11;
    // RFC 9113 section 8.3.1.
    let authority = request.uri().authority().and_then(|name| HeaderValue::from_str(name.as_str()).ok());
    let headers = request.headers_mut();
    if let Some(authority) = authority
        && !headers.contains_key(HOST)
    {
        headers.insert(HOST, authority);
    }
    join_cookies(headers);
}

/// A cookie header may come in pieces, which have to be put together (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else { return };
    let mut joined = [first.as_bytes(), second.as_bytes()].join(&b"; "[..]);
    for line in lines {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(line.as_bytes());
    }
    match HeaderValue::from_bytes(&joined) {
        Ok(joined) => drop(headers.insert(COOKIE, joined)),
        Err(_) => drop(headers.remove(COOKIE)),
    }
}

/// Each request is a task of the connection's own thread.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

/// Answers of a connection of which it is looked which ones are over, however few are under way.
const ANSWERS_MIN: usize = 32;

/// When the last piece of an answer was offered that the client has not taken yet.
type Offered = Cell<Option<Instant>>;

/// The requests that are under way on a connection.
struct Streams {
    count: Cell<usize>,
    /// Since when there was none.
    idle_since: Cell<Instant>,
    answers: RefCell<Vec<Weak<Offered>>>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { count: Cell::new(0), idle_since: Cell::new(Instant::now()), answers: RefCell::default() }
    }
}

impl Streams {
    /// When, if nothing happens until then, nothing will have been asked for so long, or an answer not be taken.
    fn stuck_in(&self, limit: Duration) -> Duration {
        self.stuck_since().map_or(limit, |since| limit.saturating_sub(since.elapsed()))
    }

    /// An answer more. Those that are over go when they are the most: a connection may serve any number of requests.
    fn add(&self, offered: &Rc<Offered>) {
        let mut answers = self.answers.borrow_mut();
        if answers.len() >= ANSWERS_MIN.max(2 * self.count.get()) {
            answers.retain(|answer| answer.strong_count() > 0);
        }
        answers.push(Rc::downgrade(offered));
    }

    fn stuck_since(&self) -> Option<Instant> {
        if self.count.get() == 0 {
            return Some(self.idle_since.get());
        }
        let mut answers = self.answers.borrow_mut();
        answers.retain(|answer| answer.strong_count() > 0);
        answers.iter().filter_map(|answer| answer.upgrade()?.get()).min()
    }
}

/// One request that is under way, until the last of its answer.
struct Open(Rc<Streams>);

impl Open {
    fn new(streams: &Rc<Streams>) -> Self {
        streams.count.set(streams.count.get() + 1);
        Self(Rc::clone(streams))
    }

    fn over(self, body: GatewayBody, place: Option<Place>) -> Watched {
        let offered = Rc::new(Offered::default());
        self.0.add(&offered);
        Watched { body, offered, _open: self, _place: place }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get().saturating_sub(1));
        if self.0.count.get() == 0 {
            self.0.answers.borrow_mut().clear();
        }
        self.0.idle_since.set(Instant::now());
    }
}

/// An answer of which it is known when its last piece was taken.
struct Watched {
    body: GatewayBody,
    offered: Rc<Offered>,
    _open: Open,
    _place: Option<Place>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        // Who asks for the next piece has room for it.
        self.offered.set(polled.is_ready().then(Instant::now));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_answers_that_are_over() {
        let streams = Rc::new(Streams::default());
        let answer = || Open::new(&streams).over(GatewayBody::from(Bytes::from_static(b"ok")), None);
        let open: Vec<Watched> = (0..100).map(|_| answer()).collect();
        (0..10_000).for_each(|_| drop(answer()));
        assert!((100..=202).contains(&streams.answers.borrow().len()));
        drop(open);
        assert!(streams.answers.borrow().is_empty());
        assert_eq!(streams.count.get(), 0);
    }

    #[test]
    fn a_cookie_in_pieces_is_put_together() {
        let mut headers = HeaderMap::new();
        for piece in ["a=1", "b=2", "c=3"] {
            headers.append(COOKIE, HeaderValue::from_static(piece));
        }
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    }
}
