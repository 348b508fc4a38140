//! One end of a raw connection, a client's or an upstream's.

use std::{
    fmt,
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::PATIENCE;

/// After so long without a byte taken, nobody takes any.
const STUCK_AFTER: Duration = Duration::from_millis(400);
/// Far more than the limits of a second or less that tests set, for a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

/// The head of a message as it was on the wire.
pub(crate) struct Head {
    /// The request line or the status line.
    pub(crate) start: String,
    /// The fields, names in lower case, in their order.
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &str) -> Self {
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a field: {line}"));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Self { start, fields: lines.map(field).collect() }
    }

    /// The values of all lines with a name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether there is a line with a name.
    pub(crate) fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// Fails unless there is exactly this one line with a name.
    #[track_caller]
    pub(crate) fn assert_field(&self, name: &str, value: &str) {
        assert_eq!(self.all(name), [value], "{name} in:\n{self}");
    }

    /// Fails if there is a line with one of these names.
    #[track_caller]
    pub(crate) fn assert_without(&self, names: &[&str]) {
        for name in names {
            assert!(!self.has(name), "{name} is in:\n{self}");
        }
    }

    /// Fails unless it is an answer with this status.
    #[track_caller]
    pub(crate) fn assert_status(&self, status: u16) {
        assert!(self.start.starts_with(&format!("HTTP/1.1 {status} ")), "not {status}:\n{self}");
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.start)?;
        self.fields.iter().try_for_each(|(name, value)| writeln!(f, "{name}: {value}"))
    }
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The other end closed it.
    Closed,
    /// The other end reset it.
    Reset,
}

/// A connection, with what was read of it and not yet looked at.
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    pub(super) fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).expect("a connection"))
    }

    pub(super) fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, unread: Vec::new() }
    }

    /// The same connection once more, to send on while this one is read.
    pub(crate) fn another(&self) -> Self {
        Self { stream: self.stream.try_clone().expect("a descriptor"), unread: Vec::new() }
    }

    /// Sends bytes.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("sent");
    }

    /// Sends bytes until the other end has had enough of them and closes.
    pub(crate) fn send_until_refused(&mut self, bytes: &[u8], times_max: usize) {
        for _ in 0..times_max {
            match self.stream.write_all(bytes) {
                Ok(()) => {}
                Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => return,
                Err(e) => panic!("neither sent nor refused: {e}"),
            }
        }
        panic!("all of it was taken");
    }

    /// Sends bytes until the other end takes no more, for a while that a busy machine does not take, or for good.
    pub(crate) fn send_until_stuck(&mut self, bytes: &[u8]) {
        self.stream.set_write_timeout(Some(STUCK_AFTER)).expect("set");
        loop {
            match self.stream.write(bytes) {
                Ok(_) => {}
                // It has answered and closed by now; the answer can still be read.
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::WouldBlock | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                    ) =>
                {
                    break;
                }
                Err(e) => panic!("not taken: {e}"),
            }
        }
        self.stream.set_write_timeout(None).expect("set");
    }

    /// Sends bytes; says whether the connection still takes them.
    pub(crate) fn is_taken(&mut self, bytes: &str) -> bool {
        self.stream.write_all(bytes.as_bytes()).is_ok()
    }

    /// Says that no more will be sent.
    pub(crate) fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("open");
    }

    /// Reads up to and including a text, and returns all of it.
    #[track_caller]
    pub(crate) fn read_through(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|w| w == end.as_bytes()) {
                let rest = self.unread.split_off(at + end.len());
                return String::from_utf8(std::mem::replace(&mut self.unread, rest)).expect("UTF-8");
            }
            assert!(self.fill().is_none(), "closed before {end:?}; so far: {}", self.shown());
        }
    }

    /// Reads the next bytes, which have to be these.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) {
        while self.unread.len() < text.len() {
            assert!(self.fill().is_none(), "closed before {text:?}; so far: {}", self.shown());
        }
        let rest = self.unread.split_off(text.len());
        assert_eq!(String::from_utf8_lossy(&std::mem::replace(&mut self.unread, rest)), text);
    }

    /// Reads a head.
    #[track_caller]
    pub(crate) fn read_head(&mut self) -> Head {
        Head::parse(&self.read_through("\r\n\r\n"))
    }

    /// Reads a head and its body, by its length or its chunks.
    #[track_caller]
    pub(crate) fn read_answer(&mut self) -> (Head, String) {
        let head = self.read_head();
        let body = self.read_body(&head);
        (head, body)
    }

    /// The same for an answer that must come soon: whatever is broken behind the gateway, the client is told.
    #[track_caller]
    pub(crate) fn read_answer_soon(&mut self) -> (Head, String) {
        let start = Instant::now();
        let answer = self.read_answer();
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        answer
    }

    /// Reads the body that belongs to a head.
    #[track_caller]
    pub(crate) fn read_body(&mut self, head: &Head) -> String {
        if head.has("transfer-encoding") {
            let (body, trailers) = self.read_chunks();
            assert!(trailers.is_empty(), "{trailers:?}");
            return body;
        }
        let length = head.all("content-length").first().map_or(0, |n| n.parse().expect("a length"));
        self.read_exactly(length)
    }

    /// Reads a chunked body and its trailers.
    #[track_caller]
    pub(crate) fn read_chunks(&mut self) -> (String, Vec<(String, String)>) {
        let mut body = String::new();
        loop {
            let size = self.read_through("\r\n");
            let size = usize::from_str_radix(size.trim_end(), 16).expect("the size of a chunk");
            if size == 0 {
                break;
            }
            body.push_str(&self.read_exactly(size));
            self.expect("\r\n");
        }
        let mut trailers = String::from("\r\n");
        loop {
            match self.read_through("\r\n").as_str() {
                "\r\n" => return (body, Head::parse(&trailers).fields),
                line => trailers.push_str(line),
            }
        }
    }

    #[track_caller]
    fn read_exactly(&mut self, length: usize) -> String {
        while self.unread.len() < length {
            assert!(self.fill().is_none(), "closed early; so far: {}", self.shown());
        }
        let rest = self.unread.split_off(length);
        String::from_utf8(std::mem::replace(&mut self.unread, rest)).expect("UTF-8")
    }

    /// Reads and drops `count` bytes.
    #[track_caller]
    pub(crate) fn skip(&mut self, count: usize) {
        let mut left = count - count.min(self.unread.len());
        self.unread.drain(..count.min(self.unread.len()));
        let mut buffer = vec![0; 256 * 1024];
        while left > 0 {
            let wanted = left.min(buffer.len());
            let n = self.stream.read(&mut buffer[..wanted]).expect("bytes");
            assert!(n > 0, "closed {left} bytes early");
            left -= n;
        }
    }

    /// Waits until the other end closes, and returns what it sent until then.
    #[track_caller]
    pub(crate) fn read_to_the_end(&mut self) -> (String, End) {
        loop {
            if let Some(end) = self.fill() {
                return (self.shown(), end);
            }
        }
    }

    /// Waits until the other end closes; it has to send nothing before.
    #[track_caller]
    pub(crate) fn assert_closed(&mut self) {
        let (rest, _) = self.read_to_the_end();
        assert_eq!(rest, "");
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    /// Reads once; says how the connection ended, if it did.
    #[track_caller]
    fn fill(&mut self) -> Option<End> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Some(End::Closed),
            Ok(n) => {
                self.unread.extend_from_slice(&buffer[..n]);
                None
            }
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Some(End::Reset),
            Err(e) => panic!("nothing came: {e}; so far: {}", self.shown()),
        }
    }
}
