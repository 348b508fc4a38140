//! One listener a runtime thread: binds, accepts, drains.
//!
//! Invariants: no error of `accept` ends the loop; a connection counts until its last response is out; a drain takes
//! what waits in the kernel, and ends at its deadline whatever a client does.

use std::{
    cell::Cell,
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    task::spawn_local,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    GatewayBody, Peer,
    clients::Clients,
    connection::{self, Ending},
    tls::ServerTls,
};
use crate::{headers::client_addr::TrustedProxies, telemetry::Metrics, upstream::ClientBody};

/// Connections that wait in the kernel for `accept`.
const BACKLOG: i32 = 1024;
/// How long `accept` rests when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a listener serves.
#[derive(Debug, Clone)]
pub struct ListenSettings {
    /// How long the head of a request may take, the wait for it on a kept connection included; and how long
    /// a client may take none of an answer that is ready for it.
    pub header_timeout: Duration,
    /// Connections of one thread; more wait in the kernel.
    pub connections_max: usize,
    /// Connections of one client (an IPv4 address, an IPv6 network of 64 bits) and thread, and requests of HTTP/2 in
    /// all of them. Proxies that are trusted may have any number.
    pub client_connections_max: usize,
    /// Bytes of a request's head.
    pub head_bytes_max: usize,
    /// Fields of a request's head.
    pub fields_max: usize,
    /// Requests that are under way at once on one connection of HTTP/2.
    pub http2_streams_max: u32,
    /// How it speaks TLS, if it does. The handshake must be over within `header_timeout`.
    pub tls: Option<ServerTls>,
    /// Whether connections of trusted proxies begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Who these are.
    pub trusted_proxies: TrustedProxies,
}

impl Default for ListenSettings {
    /// 30 s for a head, 10,000 connections a thread, 256 of them of one client; heads of 64 KiB (cookies and tokens of
    /// real sites stay below 16) and 100 fields; 100 requests at once (RFC 9113 section 6.5.2 recommends no less).
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(30),
            connections_max: 10_000,
            client_connections_max: 256,
            head_bytes_max: 64 * 1024,
            fields_max: 100,
            http2_streams_max: 100,
            tls: None,
            proxy_protocol: false,
            trusted_proxies: TrustedProxies::default(),
        }
    }
}

/// Binds an address for this process alone. That of another one is refused, even if it shares its own among
/// its threads: a forgotten gateway would go on to answer every other request.
pub fn bind_alone(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address, false)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds an address that the other threads of this process bind as well (`SO_REUSEPORT`), the first of them.
pub fn bind_first(address: SocketAddr) -> io::Result<TcpListener> {
    drop(bound(address, false)?);
    bind_shared(address)
}

/// Binds an address that [`bind_first`] has bound.
pub fn bind_shared(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address, true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bound(address: SocketAddr, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Whose the connections are that the kernel holds for a listener when it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlog {
    /// This listener's: closing it would reset them, so they are taken and served.
    Own,
    /// Whoever listens next on the socket, which a service manager keeps open, takes them.
    Inherited,
}

/// Serves until `shutdown` is true, then lets requests in flight finish, for `drain_timeout` at most. Each connection
/// goes by the settings of the moment when it is accepted.
pub async fn serve<S, F>(
    listener: TcpListener,
    backlog: Backlog,
    settings: watch::Receiver<Arc<ListenSettings>>,
    metrics: Option<Metrics>,
    drain_timeout: impl FnOnce() -> Duration,
    shutdown: watch::Receiver<bool>,
    service: S,
) -> io::Result<()>
where
    S: Fn(Request<ClientBody>, Peer) -> F + Clone + 'static,
    F: Future<Output = Response<GatewayBody>> + 'static,
{
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let open = Rc::new(OpenConnections { metrics, ..OpenConnections::default() });
    let clients = Clients::default();
    let start = |stream: TcpStream, address: SocketAddr| {
        let counted = Counted::new(&open);
        let accepted = connection::Accepted {
            stream,
            peer: Peer { address, is_tls: false, is_unnamed: false },
            settings: Arc::clone(&settings.borrow()),
            clients: clients.clone(),
            ending: Ending::new(shutdown.clone()),
        };
        let service = service.clone();
        spawn_local(async move {
            connection::serve(accepted, service).await;
            drop(counted);
        });
    };
    let mut stopped = shutdown.clone();
    while !*stopped.borrow() {
        if open.count.get() >= settings.borrow().connections_max {
            tokio::select! {
                _ = stopped.changed() => {}
                () = open.closed.notified() => {}
            }
            continue;
        }
        let accepted = tokio::select! {
            _ = stopped.changed() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => start(stream, address),
            Err(error) if is_of_one_connection(&error) => {
                debug!(%error, "a connection was gone before it was accepted");
            }
            Err(error) => {
                warn!(%error, "connections cannot be accepted at the moment");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    if backlog == Backlog::Own {
        // Of the socket itself: what the runtime knows of it may be older than the last connection.
        let listener = listener.into_std()?;
        let accept = || {
            let (stream, address) = listener.accept()?;
            stream.set_nonblocking(true)?;
            Ok((TcpStream::from_std(stream)?, address))
        };
        // As many as may wait: whoever goes on to connect does not hold up the end.
        for _ in 0..=BACKLOG {
            match accept() {
                Ok((stream, address)) => start(stream, address),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    warn!(%error, "connections that waited could not be accepted before the end");
                    break;
                }
            }
        }
    } else {
        drop(listener);
    }
    let drained = async {
        while open.count.get() > 0 {
            open.closed.notified().await;
        }
    };
    if timeout(drain_timeout(), drained).await.is_err() {
        warn!(connections = open.count.get(), "the time to drain is over; what is still open is closed");
    }
    Ok(())
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
    metrics: Option<Metrics>,
}

struct Counted(Rc<OpenConnections>);

impl Counted {
    fn new(open: &Rc<OpenConnections>) -> Self {
        open.count.set(open.count.get() + 1);
        if let Some(metrics) = &open.metrics {
            metrics.connections(1);
        }
        Self(Rc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get().saturating_sub(1));
        if let Some(metrics) = &self.0.metrics {
            metrics.connections(-1);
        }
        self.0.closed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use bytes::Bytes;
    use tokio::runtime::{Builder, LocalOptions};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn an_address_is_shared_among_threads_and_not_among_gateways() {
        let first = bind_first("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let second = bind_shared(address).unwrap();
        for refused in [bind_first(address), bind_alone(address)] {
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
        drop((first, second));
        drop(bind_first(address).unwrap());
    }

    #[test]
    fn a_client_that_does_not_read_does_not_hold_its_connection() {
        let listener = bind_alone("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let client = std::thread::spawn(move || {
            let mut client = std::net::TcpStream::connect(address).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            client.read_exact(&mut [0]).unwrap();
            stop.send(true).unwrap();
            client
        });
        let settings = ListenSettings { header_timeout: Duration::from_secs(1), ..ListenSettings::default() };
        let (_kept, settings) = watch::channel(Arc::new(settings));
        let answer = |_, _| async { Response::new(GatewayBody::from(Bytes::from(vec![0; 64 << 20]))) };
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        let drained = runtime.block_on(async {
            let serving = serve(listener, Backlog::Own, settings, None, || 2 * PATIENCE, stopped, answer);
            tokio::time::timeout(PATIENCE, serving).await
        });
        assert!(drained.is_ok(), "the connection is still open");
        drop(client.join().unwrap());
    }
}
