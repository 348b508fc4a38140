//! The upstream connections of one runtime thread. Nothing here is shared with another thread.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    time::Duration,
};

use http::{Request, Response};
use hyper::client::conn::http1::SendRequest;
use tokio::time::{Instant, sleep_until, timeout};

use super::{AnswerBody, Progress, UpstreamBody, UpstreamError, UpstreamUrl, connect::Connector};

/// How the upstream is reached.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Where it is.
    pub url: UpstreamUrl,
    /// From nothing to a connection, TLS included.
    pub connect_timeout: Duration,
    /// From the last byte of a request to the head of its answer.
    pub response_timeout: Duration,
    /// How long a connection is kept without a request.
    pub idle_timeout: Duration,
    /// Connections of one thread, idle ones included.
    pub connections_max: usize,
}

impl UpstreamSettings {
    /// The defaults: 2 s to connect, 60 s to answer, 4 s idle (below the 5 s of Apache and Node, so that the
    /// upstream is not the one who closes), 1024 connections.
    pub const fn at(url: UpstreamUrl) -> Self {
        Self {
            url,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(4),
            connections_max: 1024,
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
    open: Rc<Cell<usize>>,
}

struct Idle {
    sender: SendRequest<UpstreamBody>,
    since: Instant,
}

/// A connection that serves a request.
pub(super) struct Lease {
    sender: SendRequest<UpstreamBody>,
    pool: Rc<Inner>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

impl Lease {
    /// Puts the connection back, its answer having been read to the end.
    pub(super) fn give_back(self) {
        if !self.sender.is_closed() {
            self.pool.idle.borrow_mut().push(Idle { sender: self.sender, since: Instant::now() });
        }
    }
}

/// Counts an open connection for as long as it lives.
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(open: &Rc<Cell<usize>>) -> Self {
        open.set(open.get() + 1);
        Self(Rc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Pool {
    /// No connection is opened yet.
    pub fn new(settings: UpstreamSettings) -> Result<Self, UpstreamError> {
        let connector = Connector::new(settings.url.clone())?;
        Ok(Self(Rc::new(Inner { settings, connector, idle: RefCell::default(), open: Rc::default() })))
    }

    /// Where the upstream is.
    pub fn url(&self) -> &UpstreamUrl {
        self.0.connector.url()
    }

    /// Time from the last byte of a request to the head of its answer.
    pub fn response_timeout(&self) -> Duration {
        self.0.settings.response_timeout
    }

    /// Counts a connection that has become a tunnel, for as long as the value lives: it is as open as before.
    pub fn count_tunnel(&self) -> impl Sized + 'static {
        Counted::new(&self.0.open)
    }

    /// Sends a request and waits for the head of its answer; `progress` is that of its body. The time limit
    /// starts anew with every piece of the body.
    pub async fn send(
        &self,
        mut request: Request<UpstreamBody>,
        progress: &Progress,
    ) -> Result<Response<AnswerBody>, UpstreamError> {
        loop {
            let (mut sender, is_reused) = match self.0.take_idle() {
                Some(sender) => (sender, true),
                None => (self.0.connect().await?, false),
            };
            let answer = {
                let sending = std::pin::pin!(sender.try_send_request(request));
                within(self.0.settings.response_timeout, progress, sending).await?
            };
            match answer {
                Ok(response) => {
                    let lease = Lease { sender, pool: Rc::clone(&self.0) };
                    return Ok(response.map(|body| AnswerBody::new(body, lease)));
                }
                Err(mut failed) => match failed.take_message() {
                    // The kept connection was closed before a byte was written: another one may serve.
                    Some(unsent) if is_reused => request = unsent,
                    _ => return Err(UpstreamError::Broken(failed.into_error())),
                },
            }
        }
    }
}

impl Inner {
    fn take_idle(&self) -> Option<SendRequest<UpstreamBody>> {
        let mut idle = self.idle.borrow_mut();
        let oldest = Instant::now().checked_sub(self.settings.idle_timeout);
        // The stack is ordered by age, so that what is too old is at its bottom.
        let expired = idle.iter().take_while(|kept| oldest.is_some_and(|oldest| kept.since < oldest)).count();
        idle.drain(..expired);
        // One that is not ready has an answer that overtook its request; it may still be sending.
        let ready = idle.iter().rposition(|kept| kept.sender.is_ready() && !kept.sender.is_closed())?;
        Some(idle.remove(ready).sender)
    }

    async fn connect(&self) -> Result<SendRequest<UpstreamBody>, UpstreamError> {
        if self.open.get() >= self.settings.connections_max {
            return Err(UpstreamError::Exhausted(self.settings.connections_max));
        }
        let counted = Counted::new(&self.open);
        match timeout(self.settings.connect_timeout, self.connector.connect(counted)).await {
            Ok(connected) => connected,
            Err(_) => Err(UpstreamError::ConnectTimeout(self.settings.connect_timeout)),
        }
    }
}

/// Waits for a future until `limit` has passed since the last progress.
async fn within<F: Future + Unpin>(
    limit: Duration,
    progress: &Progress,
    mut work: F,
) -> Result<F::Output, UpstreamError> {
    loop {
        let deadline = progress.last() + limit;
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = sleep_until(deadline) => {
                if progress.last() + limit <= Instant::now() {
                    return Err(UpstreamError::Timeout(limit));
                }
            }
        }
    }
}
