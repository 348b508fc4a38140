//! The upstream connections of one runtime thread. Nothing here is shared with another thread.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    rc::{Rc, Weak},
    task::{Poll, ready},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use hyper::client::conn::http1::SendRequest;
use tokio::{
    task::{AbortHandle, spawn_local},
    time::{Instant, Sleep, sleep, sleep_until, timeout},
};

use super::{
    AnswerBody, ClientTls, Progress, UploadLimits, UpstreamBody, UpstreamError, UpstreamUrl,
    connect::Connector,
    slots::{Slot, Slots, Use},
};
use crate::step_up::SharedMeter;

/// How the upstream is reached.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Where it is.
    pub url: UpstreamUrl,
    /// Whom it trusts and what it shows, for `https`; without it, it trusts whom the system trusts.
    pub tls: Option<ClientTls>,
    /// From nothing to a connection, TLS included.
    pub connect_timeout: Duration,
    /// From the last byte of a request to the head of its answer.
    pub response_timeout: Duration,
    /// How long a connection is kept without a request.
    pub idle_timeout: Duration,
    /// Connections of one thread, idle ones and tunnels included.
    pub connections_max: usize,
    /// Requests of one thread that wait for a connection.
    pub queue_max: usize,
    /// How long they wait.
    pub queue_timeout: Duration,
}

impl UpstreamSettings {
    /// The defaults: 2 s to connect, 60 s to answer, 4 s idle (below the 5 s of Apache and Node, so that the
    /// upstream is not the one who closes), 1024 connections, and 256 requests that wait a second for one.
    pub const fn at(url: UpstreamUrl) -> Self {
        Self {
            url,
            tls: None,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(4),
            connections_max: 1024,
            queue_max: 256,
            queue_timeout: Duration::from_secs(1),
        }
    }
}

/// A thread's connections. Cheap to clone.
#[derive(Clone)]
pub struct Pool(Rc<Inner>);

struct Inner {
    settings: UpstreamSettings,
    connector: Connector,
    /// The last one used is the first one used again.
    idle: RefCell<Vec<Idle>>,
    /// Whether [`close_unused`] runs.
    is_watched: Cell<bool>,
    open: Rc<OpenConnections>,
    slots: Rc<Slots>,
    meter: Option<SharedMeter>,
}

/// The connections that are open, counted for the limit and for whoever measures.
struct OpenConnections {
    count: Cell<usize>,
    meter: Option<SharedMeter>,
}

impl fmt::Debug for OpenConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenConnections").field(&self.count).finish()
    }
}

struct Connection {
    sender: SendRequest<UpstreamBody>,
    /// When its answer is late. Kept with it, for putting off a timer costs less than making one; with it the memory of
    /// the task that waited last, until another one does, or the connection is closed.
    alarm: Pin<Box<Sleep>>,
    counted: Rc<Counted>,
    closing: CloseOnDrop,
}

/// Closes a connection at once, whatever it is busy with. Without its sender it would close as well, but
/// not while the upstream does not read what is being sent.
struct CloseOnDrop(Option<AbortHandle>);

impl CloseOnDrop {
    /// Leaves the connection to its own task.
    fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection that serves a request.
pub(super) struct Lease {
    connection: Connection,
    pool: Rc<Inner>,
    slot: Slot,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

impl Lease {
    /// Puts the connection back, its answer having been read to the end.
    pub(super) fn give_back(self) {
        if self.connection.sender.is_closed() {
            return;
        }
        self.pool.idle.borrow_mut().push(Idle { connection: self.connection, since: Instant::now() });
        if !self.pool.is_watched.replace(true) {
            spawn_local(close_unused(Rc::downgrade(&self.pool)));
        }
    }

    /// Keeps nothing but the place among the connections, for a tunnel.
    pub(super) fn into_place(self) -> TunnelPlace {
        self.connection.closing.leave();
        TunnelPlace { _counted: self.connection.counted, _slot: self.slot }
    }
}

/// The place of a tunnel among the connections. Dropped when the tunnel ends.
#[derive(Debug)]
pub struct TunnelPlace {
    _counted: Rc<Counted>,
    _slot: Slot,
}

/// Closes connections that were not used for so long, until there are none left.
async fn close_unused(pool: Weak<Inner>) {
    loop {
        let next = pool.upgrade().and_then(|pool| pool.close_expired());
        match next {
            Some(next) => sleep_until(next).await,
            None => return,
        }
    }
}

/// Counts an open connection for as long as it lives.
#[derive(Debug)]
struct Counted(Rc<OpenConnections>);

impl Counted {
    fn new(open: &Rc<OpenConnections>) -> Self {
        open.count.set(open.count.get() + 1);
        if let Some(meter) = &open.meter {
            meter.upstream_connections(1);
        }
        Self(Rc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get().saturating_sub(1));
        if let Some(meter) = &self.0.meter {
            meter.upstream_connections(-1);
        }
    }
}

impl Pool {
    /// A meter like its own, for connections beside it.
    pub(super) fn meter(&self) -> Option<SharedMeter> {
        self.0.meter.clone()
    }

    /// No connection is opened yet.
    pub fn new(settings: UpstreamSettings, meter: Option<SharedMeter>) -> Result<Self, UpstreamError> {
        let UpstreamSettings { connections_max, queue_max, queue_timeout, .. } = settings;
        let connector = Connector::new(settings.url.clone(), settings.tls.as_ref())?;
        Ok(Self(Rc::new(Inner {
            settings,
            connector,
            idle: RefCell::default(),
            is_watched: Cell::new(false),
            open: Rc::new(OpenConnections { count: Cell::new(0), meter: meter.clone() }),
            meter,
            slots: Slots::new(connections_max, queue_max, queue_timeout),
        })))
    }

    /// Where the upstream is.
    pub fn url(&self) -> &UpstreamUrl {
        self.0.connector.url()
    }

    /// Connections that there may be.
    pub fn connections_max(&self) -> usize {
        self.0.settings.connections_max
    }

    /// Time from the last byte of a request to the head of its answer.
    pub fn response_timeout(&self) -> Duration {
        self.0.settings.response_timeout
    }

    /// Sends a request of the gateway's own and waits for the head of its answer.
    pub async fn send(&self, request: Request<UpstreamBody>) -> Result<Response<AnswerBody>, UpstreamError> {
        self.send_as(Use::Own, request, &Progress::start(UploadLimits::NONE)).await
    }

    /// Sends a client's request and waits for the head of its answer; `progress` is that of its body. The time limit
    /// starts anew with every piece of the body.
    pub fn relay<'a>(
        &'a self,
        request: Request<UpstreamBody>,
        progress: &'a Progress,
    ) -> impl Future<Output = Result<Response<AnswerBody>, UpstreamError>> + use<'a> {
        // Not a future around a future: each is as large as what it holds, and is moved as it is made.
        let what = if request.body().is_upload() { Use::Upload } else { Use::Relay };
        self.send_as(what, request, progress)
    }

    async fn send_as(
        &self,
        what: Use,
        mut request: Request<UpstreamBody>,
        progress: &Progress,
    ) -> Result<Response<AnswerBody>, UpstreamError> {
        let started = progress.started();
        let failed = |error: UpstreamError| {
            if let (Some(meter), Some(failure)) = (&self.0.meter, error.as_failure()) {
                meter.upstream(started.elapsed(), Some(failure));
            }
            error
        };
        let slot = self.0.slots.enter(what).await.map_err(failed)?;
        loop {
            let (mut connection, is_reused) = match self.0.take_idle() {
                Some(connection) => (connection, true),
                // Boxed, for it is rare and large, and whoever waits for an answer holds the room for it.
                None => (Box::pin(self.0.connect()).await.map_err(failed)?, false),
            };
            let answer = {
                let Connection { sender, alarm, .. } = &mut connection;
                let sending = pin!(sender.try_send_request(request));
                within(self.0.settings.response_timeout, progress, alarm.as_mut(), sending)
                    .await
                    .map_err(failed)?
            };
            match answer {
                Ok(response) => {
                    if let Some(meter) = &self.0.meter {
                        meter.upstream(started.elapsed(), None);
                    }
                    let lease = Lease { connection, pool: Rc::clone(&self.0), slot };
                    let is_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                    let answer = if is_tunnel { AnswerBody::of_tunnel } else { AnswerBody::new };
                    return Ok(response.map(|body| answer(body, lease)));
                }
                Err(mut unsent) => match unsent.take_message() {
                    // The kept connection was closed before a byte was written: another one may serve.
                    Some(again) if is_reused => request = again,
                    _ => return Err(failed(UpstreamError::Broken(unsent.into_error().into()))),
                },
            }
        }
    }
}

impl Inner {
    fn take_idle(&self) -> Option<Connection> {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        // One that is not ready has an answer that overtook its request; it may still be sending.
        let is_usable = |Idle { connection: Connection { sender, .. }, since }: &Idle| {
            sender.is_ready() && !sender.is_closed() && now - *since < self.settings.idle_timeout
        };
        let usable = idle.iter().rposition(is_usable)?;
        Some(idle.remove(usable).connection)
    }

    /// Closes what is too old, and returns when the next one will be. An upload that goes on after its
    /// answer was read has as long as an unused connection.
    fn close_expired(&self) -> Option<Instant> {
        let mut idle = self.idle.borrow_mut();
        // The stack is ordered by age, so that what is too old is at its bottom.
        let expired =
            idle.iter().take_while(|kept| kept.since.elapsed() >= self.settings.idle_timeout).count();
        idle.drain(..expired);
        let next = idle.first().map(|kept| kept.since + self.settings.idle_timeout);
        self.is_watched.set(next.is_some());
        next
    }

    async fn connect(&self) -> Result<Connection, UpstreamError> {
        if self.open.count.get() >= self.settings.connections_max {
            return Err(UpstreamError::Exhausted(self.settings.connections_max));
        }
        let counted = Rc::new(Counted::new(&self.open));
        let connecting = self.connector.connect(Rc::clone(&counted));
        match timeout(self.settings.connect_timeout, connecting).await {
            Ok(connected) => connected.map(|(sender, task)| {
                let closing = CloseOnDrop(Some(task));
                let alarm = Box::pin(sleep(self.settings.response_timeout));
                Connection { sender, alarm, counted, closing }
            }),
            Err(_) => Err(UpstreamError::ConnectTimeout(self.settings.connect_timeout)),
        }
    }
}

/// Waits for a future until `limit` has passed since the last progress, or the client is too slow.
async fn within<F: Future + Unpin>(
    limit: Duration,
    progress: &Progress,
    mut alarm: Pin<&mut Sleep>,
    mut work: F,
) -> Result<F::Output, UpstreamError> {
    let mut is_set = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(done) = Pin::new(&mut work).poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if !is_set {
                alarm.as_mut().reset(progress.look_at(limit));
                is_set = true;
            }
            ready!(alarm.as_mut().poll(cx));
            is_set = false;
            let late = progress.late(limit);
            if late.at() <= Instant::now() {
                return Poll::Ready(Err(late.into()));
            }
        }
    })
    .await
}
