//! The upstream, played by the test.

use std::{
    net::{Ipv4Addr, TcpListener},
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
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    socket.bind(&any.into()).expect("a port");
    let address = socket.local_addr().expect("bound").as_socket().expect("an IP address");
    (format!("http://{address}"), socket)
}
