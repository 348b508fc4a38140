//! One listener a runtime thread: accepts, serves, drains.
//!
//! Invariants: no error of `accept` ends the loop; a connection counts until its last response is out; a
//! drain ends at its deadline whatever a client does.

use std::{
    cell::Cell,
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    task::spawn_local,
    time::sleep,
};
use tracing::{debug, warn};

use super::{GatewayBody, Peer};

/// Bytes of a request's head. Cookies and tokens of real sites stay below 16 KiB.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Connections that wait in the kernel for `accept`.
const BACKLOG: i32 = 1024;
/// How long `accept` rests when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a listener serves.
#[derive(Debug, Clone)]
pub struct ListenSettings {
    /// Where it listens.
    pub address: SocketAddr,
    /// How long the head of a request may take, the wait for it on a kept connection included.
    pub header_timeout: Duration,
    /// Connections of one thread; more wait in the kernel.
    pub connections_max: usize,
}

impl ListenSettings {
    /// The defaults: 30 s for a head, 10,000 connections a thread.
    pub const fn at(address: SocketAddr) -> Self {
        Self { address, header_timeout: Duration::from_secs(30), connections_max: 10_000 }
    }
}

/// Binds an address that other threads of this process bind as well (`SO_REUSEPORT`).
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves until `shutdown` is true, then lets requests in flight finish, for `drain_timeout` at most.
pub async fn serve<S, F>(
    listener: TcpListener,
    settings: &ListenSettings,
    drain_timeout: Duration,
    mut shutdown: watch::Receiver<bool>,
    service: S,
) -> io::Result<()>
where
    S: Fn(Request<Incoming>, Peer) -> F + Clone + 'static,
    F: Future<Output = Response<GatewayBody>> + 'static,
{
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let open = Rc::new(OpenConnections::default());
    let builder = builder(settings);
    while !*shutdown.borrow() {
        if open.count.get() >= settings.connections_max {
            tokio::select! {
                _ = shutdown.changed() => {}
                () = open.closed.notified() => {}
            }
            continue;
        }
        let accepted = tokio::select! {
            _ = shutdown.changed() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let counted = Counted::new(&open);
                spawn_local(serve_connection(
                    stream,
                    Peer { address },
                    builder.clone(),
                    shutdown.clone(),
                    service.clone(),
                    counted,
                ));
            }
            Err(error) if is_of_one_connection(&error) => {
                debug!(%error, "a connection was gone before it was accepted");
            }
            Err(error) => {
                warn!(%error, "connections cannot be accepted at the moment");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained = async {
        while open.count.get() > 0 {
            open.closed.notified().await;
        }
    };
    if tokio::time::timeout(drain_timeout, drained).await.is_err() {
        warn!(connections = open.count.get(), "the time to drain is over; what is still open is closed");
    }
    Ok(())
}

fn builder(settings: &ListenSettings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        // A client that closes its side has left: its request is cancelled, and so is the upstream's.
        .half_close(false);
    builder
}

async fn serve_connection<S, F>(
    stream: TcpStream,
    peer: Peer,
    builder: http1::Builder,
    mut shutdown: watch::Receiver<bool>,
    service: S,
    counted: Counted,
) where
    S: Fn(Request<Incoming>, Peer) -> F + 'static,
    F: Future<Output = Response<GatewayBody>> + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection was gone before it was served");
        return;
    }
    let service = service_fn(move |request| {
        let response = service(request, peer);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let mut connection =
        std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let served = tokio::select! {
        served = connection.as_mut() => served,
        _ = shutdown.wait_for(|stop| *stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        debug!(error = &error as &dyn std::error::Error, peer = %peer.address, "a connection ended early");
    }
    drop(counted);
}

/// Errors of `accept(2)` that concern the connection that was to be accepted, not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

#[derive(Default)]
struct OpenConnections {
    count: Cell<usize>,
    closed: Notify,
}

struct Counted(Rc<OpenConnections>);

impl Counted {
    fn new(open: &Rc<OpenConnections>) -> Self {
        open.count.set(open.count.get() + 1);
        Self(Rc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get().saturating_sub(1));
        self.0.closed.notify_one();
    }
}
