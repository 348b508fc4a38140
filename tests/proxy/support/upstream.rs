//! The upstream, played by the test.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
};

use socket2::{Domain, SockRef, Socket, Type};

use super::{PATIENCE, Wire};

/// An upstream's listener. The test takes each connection itself; one that is left over in the end fails it.
pub(crate) struct Upstream(TcpListener);

impl Upstream {
    /// Starts listening.
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        // On Linux a listener's time limit for reading is that of `accept`.
        SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(listener)
    }

    /// What goes into `upstream.url`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// Its address and port.
    pub(crate) fn authority(&self) -> String {
        self.0.local_addr().expect("bound").to_string()
    }

    /// Takes the next connection.
    pub(crate) fn accept(&self) -> Wire {
        let (stream, _) = self.0.accept().expect("a connection of the gateway's");
        Wire::of(stream)
    }

    /// No connection waits to be taken.
    pub(crate) fn assert_no_other_connection(&self) {
        self.0.set_nonblocking(true).expect("set");
        let other = self.0.accept().is_ok();
        self.0.set_nonblocking(false).expect("set");
        assert!(!other, "the gateway opened a connection that the test does not expect");
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.assert_no_other_connection();
        }
    }
}

/// The URL of a port that refuses connections, and what keeps others from taking that port.
pub(crate) fn refusing_url() -> (String, Socket) {
    let (socket, address) = bound();
    (format!("http://{address}"), socket)
}

/// The URL of a port where connecting neither succeeds nor fails, and what keeps it that way.
pub(crate) fn silent_url() -> (String, Vec<Socket>) {
    let (listener, address) = bound();
    listener.listen(0).expect("listening");
    let mut kept = vec![listener];
    // More than the queue for `accept` holds: from then on the kernel drops what comes.
    for _ in 0..8 {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        client.set_nonblocking(true).expect("set");
        // It is under way, and stays so.
        let _ = client.connect(&address.into());
        kept.push(client);
    }
    (format!("http://{address}"), kept)
}

fn bound() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).expect("a port");
    let address = socket.local_addr().expect("bound").as_socket().expect("an IP address");
    (socket, address)
}
