//! One connection of a client: what stands before HTTP (a PROXY header, TLS), then HTTP/1.1 or HTTP/2.
//!
//! Invariants: a client that does not send, or does not read, loses its connection, and frees the upstream's;
//! nobody has more connections than the setting allows but proxies that are trusted; a PROXY header is believed of
//! these alone.

use std::{
    future::{self, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy, sink},
    net::TcpStream,
    sync::watch,
    task::coop::has_budget_remaining,
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;

use super::{
    GatewayBody, Peer,
    clients::{Clients, Counts, Share},
    http1, http2,
    listener::ListenSettings,
    proxy_protocol, respond,
    tls::{ClientName, ServerTls},
};
use crate::upstream::ClientBody;

/// How long a connection that was accepted before a stop may take for its first request.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(1);
/// How long, and for how many bytes, a client who has too many connections is listened to after it was told so: a
/// socket that is closed with something unread takes back what was said (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: u64 = 64 * 1024;
/// What is said to a client who has too many connections, where it can be said.
static TOO_MANY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let retry_after_secs = Some(respond::RETRY_AFTER_OUTAGE_SECS);
    let description = "Too many connections are open";
    respond::raw(StatusCode::TOO_MANY_REQUESTS, retry_after_secs, "temporarily_unavailable", description)
});

/// A connection that was accepted, and what it is served by.
pub(super) struct Accepted {
    /// The connection.
    pub(super) stream: TcpStream,
    /// Its other end.
    pub(super) peer: Peer,
    /// How it is served.
    pub(super) settings: Arc<ListenSettings>,
    /// Who has how many.
    pub(super) clients: Clients,
    /// When it is to end.
    pub(super) ending: Ending,
}

/// When a connection takes no further request: at a stop, but not before it had the time to send the one that it was
/// opened for. Whoever was connected by the kernel before the stop counts on an answer.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    shutdown: watch::Receiver<bool>,
    not_before: Instant,
}

impl Ending {
    /// Of a connection that is accepted now; `shutdown` is true from the stop on.
    pub(super) fn new(shutdown: watch::Receiver<bool>) -> Self {
        Self { shutdown, not_before: Instant::now() + FIRST_REQUEST_WITHIN }
    }

    /// Waits until then.
    pub(super) async fn wait(&mut self) {
        self.wait_unless(future::pending()).await;
    }

    /// For a connection that is polled often. It needs no more time once its first request `has_come`.
    pub(super) fn watch(mut self, has_come: impl Future<Output = ()>) -> Stop<impl Future<Output = ()>> {
        let mut shutdown = self.shutdown.clone();
        if *shutdown.borrow() {
            // Seen before, in a handshake, but not by who asks now.
            shutdown.mark_changed();
        }
        let ending = Box::pin(async move { self.wait_unless(has_come).await });
        Stop { shutdown, ending, is_registered: false, has_come: false }
    }

    async fn wait_unless(&mut self, has_come: impl Future<Output = ()>) {
        // Whoever would say so being gone is a stop, too.
        let _ = self.shutdown.wait_for(|stop| *stop).await;
        tokio::select! {
            () = sleep_until(self.not_before) => {}
            () = has_come => {}
        }
    }
}

/// An [`Ending`] that costs next to nothing to ask for. Whoever asks has to be the same task each time.
pub(super) struct Stop<F> {
    shutdown: watch::Receiver<bool>,
    ending: Pin<Box<F>>,
    is_registered: bool,
    has_come: bool,
}

impl<F: Future<Output = ()>> Stop<F> {
    /// Whether it has come just now; said once.
    pub(super) fn has_come(&mut self, cx: &mut Context<'_>) -> bool {
        // What was polled once will wake the task; to poll it again before there is a reason costs a lock that all
        // threads share.
        if self.has_come || self.is_registered && !self.shutdown.has_changed().unwrap_or(true) {
            return false;
        }
        // A task that has used up its turn gets no waker registered.
        self.is_registered = has_budget_remaining();
        self.has_come = self.ending.as_mut().poll(cx).is_ready();
        self.has_come
    }

    /// Waits for it.
    pub(super) async fn wait(&mut self) {
        poll_fn(|cx| if self.has_come(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// Serves it to its end.
pub(super) async fn serve<S, F>(accepted: Accepted, service: S)
where
    S: Fn(Request<ClientBody>, Peer) -> F + Clone + 'static,
    F: Future<Output = Response<GatewayBody>> + 'static,
{
    let Accepted { mut stream, mut peer, settings, clients, mut ending } = accepted;
    // The kernel counts for how long nothing that was sent is taken, closed windows included (tcp(7)).
    let prepared = stream
        .set_nodelay(true)
        .and_then(|()| SockRef::from(&stream).set_tcp_user_timeout(Some(settings.header_timeout)));
    if let Err(error) = prepared {
        debug!(%error, "a connection was gone before it was served");
        return;
    }
    let is_proxy = settings.trusted_proxies.contains(peer);
    if settings.proxy_protocol && is_proxy {
        let header = tokio::select! {
            read = timeout(settings.header_timeout, proxy_protocol::read(&mut stream)) => read,
            () = ending.wait() => return,
        };
        match header {
            Ok(Ok(Some(source))) => peer.address = source,
            Ok(Ok(None)) => peer.is_unnamed = true,
            Ok(Err(error)) => return debug!(%error, peer = %peer.address, "a PROXY header was not one"),
            Err(_) => return debug!(peer = %peer.address, "a PROXY header took too long"),
        }
    }
    let is_uncounted = peer.is_unnamed || settings.trusted_proxies.contains(peer);
    let share = |counts: &Rc<Counts>| {
        if is_uncounted {
            Share::unlimited()
        } else {
            Share::new(counts, peer, settings.client_connections_max)
        }
    };
    let Some(_place) = share(&clients.connections).enter() else {
        debug!(peer = %peer.address, "a client has too many connections");
        if settings.tls.is_none() {
            turn_away(stream, settings.header_timeout).await;
        }
        return;
    };
    match settings.tls.clone() {
        None => http1::serve(stream, peer, None, &settings, ending, service).await,
        // Boxed: a connection without TLS does not hold the room for one with it.
        Some(tls) => {
            Box::pin(serve_tls(stream, &tls, peer, &settings, ending, share(&clients.requests), service))
                .await;
        }
    }
}

/// Says that there are too many connections, and ends this one. The client may be gone, or not read.
async fn turn_away(mut stream: TcpStream, limit: Duration) {
    if !matches!(timeout(limit, stream.write_all(&TOO_MANY)).await, Ok(Ok(())))
        || stream.shutdown().await.is_err()
    {
        return;
    }
    let mut rest = stream.take(LINGER_BYTES_MAX);
    let _ = timeout(LINGER, copy(&mut rest, &mut sink())).await;
}

async fn serve_tls<S, F>(
    stream: TcpStream,
    tls: &ServerTls,
    mut peer: Peer,
    settings: &ListenSettings,
    mut ending: Ending,
    requests: Share,
    service: S,
) where
    S: Fn(Request<ClientBody>, Peer) -> F + Clone + 'static,
    F: Future<Output = Response<GatewayBody>> + 'static,
{
    peer.is_tls = true;
    let handshake = tokio::select! {
        // Boxed, as what comes of it: a handshake is large, and so is the state of TLS, which is moved now and then.
        shaken = Box::pin(timeout(settings.header_timeout, tls.accept(stream))) => shaken,
        () = ending.wait() => return,
    };
    match handshake.map(|shaken| shaken.map(Box::new)) {
        Ok(Ok(stream)) => {
            if ServerTls::is_http2(&stream) {
                Box::pin(http2::serve(stream, peer, settings, ending, requests, service)).await;
            } else {
                let client = ClientName::of(&stream);
                http1::serve(stream, peer, client, settings, ending, service).await;
            }
        }
        Ok(Err(error)) => debug!(%error, peer = %peer.address, "a TLS handshake failed"),
        Err(_) => debug!(peer = %peer.address, "a TLS handshake took too long"),
    }
}
