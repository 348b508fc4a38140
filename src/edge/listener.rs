//! One listener a runtime thread: accepts, serves, drains.
//!
//! Invariants: no error of `accept` ends the loop; a connection counts until its last response is out; a
//! client that does not read loses its connection, and frees the upstream's; a drain ends at its deadline
//! whatever a client does.

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
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{Notify, watch},
    task::spawn_local,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    GatewayBody, Peer,
    tls::{ClientName, ServerTls},
};

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
    /// How long the head of a request may take, the wait for it on a kept connection included; and how long
    /// a client may take none of an answer that is ready for it.
    pub header_timeout: Duration,
    /// Connections of one thread; more wait in the kernel.
    pub connections_max: usize,
    /// How it speaks TLS, if it does. The handshake must be over within `header_timeout`.
    pub tls: Option<ServerTls>,
}

impl ListenSettings {
    /// The defaults: 30 s for a head, 10,000 connections a thread.
    pub const fn at(address: SocketAddr) -> Self {
        Self { address, header_timeout: Duration::from_secs(30), connections_max: 10_000, tls: None }
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
                    settings.clone(),
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
    settings: ListenSettings,
    builder: http1::Builder,
    mut shutdown: watch::Receiver<bool>,
    service: S,
    counted: Counted,
) where
    S: Fn(Request<Incoming>, Peer) -> F + 'static,
    F: Future<Output = Response<GatewayBody>> + 'static,
{
    let send_timeout = settings.header_timeout;
    // The kernel counts for how long nothing that was sent is taken, closed windows included (tcp(7)).
    let prepared = stream
        .set_nodelay(true)
        .and_then(|()| SockRef::from(&stream).set_tcp_user_timeout(Some(send_timeout)));
    if let Err(error) = prepared {
        debug!(%error, "a connection was gone before it was served");
        return;
    }
    match settings.tls {
        None => serve_requests(stream, peer, None, &builder, shutdown, service).await,
        Some(tls) => {
            let handshake = tokio::select! {
                shaken = timeout(settings.header_timeout, tls.accept(stream)) => shaken,
                _ = shutdown.wait_for(|stop| *stop) => return,
            };
            match handshake {
                Ok(Ok(stream)) => {
                    let client = ClientName::of(&stream);
                    serve_requests(stream, peer, client, &builder, shutdown, service).await;
                }
                Ok(Err(error)) => debug!(%error, peer = %peer.address, "a TLS handshake failed"),
                Err(_) => debug!(peer = %peer.address, "a TLS handshake took too long"),
            }
        }
    }
    drop(counted);
}

async fn serve_requests<S, F>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    client: Option<ClientName>,
    builder: &http1::Builder,
    mut shutdown: watch::Receiver<bool>,
    service: S,
) where
    S: Fn(Request<Incoming>, Peer) -> F + 'static,
    F: Future<Output = Response<GatewayBody>> + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(client) = &client {
            request.extensions_mut().insert(client.clone());
        }
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
        let settings =
            ListenSettings { header_timeout: Duration::from_secs(1), ..ListenSettings::at(address) };
        let answer = |_, _| async { Response::new(GatewayBody::from(Bytes::from(vec![0; 64 << 20]))) };
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        let drained = runtime.block_on(async {
            let serving = serve(listener, &settings, 2 * PATIENCE, stopped, answer);
            tokio::time::timeout(PATIENCE, serving).await
        });
        assert!(drained.is_ok(), "the connection is still open");
        drop(client.join().unwrap());
    }
}
