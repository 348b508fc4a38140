//! A client that sends exactly the bytes it is given and shows exactly what came back.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Barrier,
    thread,
};

use super::process::PATIENCE;

/// One response.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// The header lines, in their order, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, without its transfer coding.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a header; there must not be two.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let first = values.next();
        assert!(values.next().is_none(), "{name} is there twice:\n{self:?}");
        first
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON: {e}\n{self:?}"))
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "\n{}", self.text())
    }
}

/// Sends the bytes on a new connection and reads one response. `None`: the peer closed without one.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> Option<Response> {
    let mut stream =
        TcpStream::connect(address).unwrap_or_else(|e| panic!("cannot connect to {address}: {e}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // A peer may answer and close before it has read all of a request that it refuses.
    let _ = stream.write_all(request);
    let mut received = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(response) = parse(&received, false) {
            let _ = stream.shutdown(Shutdown::Both);
            return Some(response);
        }
        match stream.read(&mut buffer) {
            Ok(0) => return parse(&received, true),
            Ok(n) => received.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => return parse(&received, true),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => {
                panic!("no answer from {address}: {e}; so far:\n{}", String::from_utf8_lossy(&received))
            }
        }
    }
}

/// Sends the requests at the same moment, each on a connection of its own, in the order of addresses.
pub(crate) fn in_parallel(requests: &[(SocketAddr, Vec<u8>)]) -> Vec<Response> {
    let together = Barrier::new(requests.len());
    thread::scope(|scope| {
        let running: Vec<_> = requests
            .iter()
            .map(|(address, request)| {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    exchange(*address, request).expect("an answer")
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// The first final response in the bytes, when it is whole.
fn parse(bytes: &[u8], closed: bool) -> Option<Response> {
    let head_end = find(bytes, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let rest = &bytes[head_end + 4..];
    let mut lines = head.split("\r\n");
    let status_line = lines.next()?;
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no status line: {status_line}"));
    if (100..200).contains(&status) && status != 101 {
        return parse(rest, closed);
    }
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').unwrap_or_else(|| panic!("no header line: {line}")))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let named =
        |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let body = if matches!(status, 204 | 304) {
        Vec::new()
    } else if named("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        dechunked(rest)?
    } else if let Some(length) = named("content-length") {
        let length: usize = length.parse().expect("a length");
        rest.get(..length)?.to_vec()
    } else if closed {
        rest.to_vec()
    } else {
        return None;
    };
    Some(Response { status, headers, body })
}

fn dechunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = find(bytes, b"\r\n")?;
        let line = String::from_utf8_lossy(&bytes[..line_end]);
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).expect("a chunk size");
        bytes = &bytes[line_end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size + 2..)?;
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
