//! An upstream that a test plays itself, byte by byte, to see what the gateway does with a connection.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
};

use super::process::PATIENCE;

/// Listens as the upstream; each connection is accepted and played by the test.
pub(crate) struct ScriptedUpstream {
    address: SocketAddr,
    connections: Receiver<TcpStream>,
}

impl ScriptedUpstream {
    /// Starts listening.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (accepted, connections) = channel();
        // Ends with the first connection that nobody takes any more, or with the tests.
        thread::spawn(move || listener.incoming().flatten().try_for_each(|stream| accepted.send(stream)));
        Self { address, connections }
    }

    /// What goes into `[upstream] url`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes the next connection.
    pub(crate) fn accept(&self) -> Peer {
        Peer::of(self.connections.recv_timeout(PATIENCE).expect("a connection of the gateway's"))
    }
}

/// One end of a connection, with what was read of it and not yet looked at.
pub(crate) struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    /// Connects to the gateway.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).expect("a connection"))
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, unread: Vec::new() }
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sent");
    }

    /// Sends the same bytes again and again until the other end has had enough.
    pub(crate) fn send_until_closed(&mut self, bytes: &[u8]) {
        while self.stream.write_all(bytes).is_ok() {}
    }

    /// Reads up to and including a text; returns all of it.
    pub(crate) fn read_through(&mut self, end: &str) -> String {
        loop {
            let found = self.unread.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let rest = self.unread.split_off(at + end.len());
                return String::from_utf8(std::mem::replace(&mut self.unread, rest)).expect("UTF-8");
            }
            assert!(self.fill(), "the peer closed; so far: {}", String::from_utf8_lossy(&self.unread));
        }
    }

    /// Reads a head, in lower case.
    pub(crate) fn read_head(&mut self) -> String {
        self.read_through("\r\n\r\n").to_lowercase()
    }

    /// Reads and drops `count` bytes.
    pub(crate) fn skip(&mut self, count: usize) {
        let mut left = count - self.unread.len().min(count);
        self.unread.drain(..count.min(self.unread.len()));
        let mut buffer = vec![0; 256 * 1024];
        while left > 0 {
            let wanted = left.min(buffer.len());
            let n = self.stream.read(&mut buffer[..wanted]).expect("bytes");
            assert!(n > 0, "the peer closed {left} bytes early");
            left -= n;
        }
    }

    /// Waits until the other end closes, whatever it still sends.
    pub(crate) fn read_to_the_end(&mut self) -> String {
        while self.fill() {}
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(n) => {
                self.unread.extend_from_slice(&buffer[..n]);
                n > 0
            }
            Err(e) if e.kind() == ErrorKind::ConnectionReset => false,
            Err(e) => panic!("nothing came: {e}; so far: {}", String::from_utf8_lossy(&self.unread)),
        }
    }
}
