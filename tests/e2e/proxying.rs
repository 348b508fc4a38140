//! Everything but token requests: passed on as it comes, both ways, at once.
//!
//! The test plays client and upstream itself, so that it sees when bytes arrive, not only that they do.

use std::thread;

use crate::support::{Clock, Gateway, GatewayConfig, Peer, Ran, ScriptedUpstream};

/// A gateway in front of an upstream that the test plays.
pub(crate) struct Pair {
    pub(crate) gateway: Gateway,
    pub(crate) upstream: ScriptedUpstream,
    config: GatewayConfig,
}

pub(crate) fn pair() -> Pair {
    let upstream = ScriptedUpstream::start();
    let mut config = GatewayConfig::new(&upstream.url(), &Clock::real());
    config.set_text("store.url", "embedded:gateway.db");
    let gateway = config.serve();
    Pair { gateway, upstream, config }
}

impl Pair {
    /// Starts the gateway anew with one more setting.
    pub(crate) fn restart_with(&mut self, key: &str, toml: &str) {
        self.config.set(key, toml);
        self.gateway = self.config.serve();
    }

    /// Runs a command of the gateway's with one more setting.
    pub(crate) fn run_with(&mut self, key: &str, toml: &str, arguments: &[&str]) -> Ran {
        self.config.set(key, toml);
        self.config.run(arguments)
    }

    pub(crate) fn client(&self) -> Peer {
        Peer::connect(self.gateway.address())
    }
}

#[test]
fn an_answer_is_passed_on_while_it_is_still_being_written() {
    let pair = pair();
    let mut client = pair.client();
    client.send(b"GET /events HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    let mut upstream = pair.upstream.accept();
    upstream.read_head();
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst;\r\n");
    client.read_through("first;"); // nothing more is sent until this has arrived
    upstream.send(b"7\r\nsecond;\r\n0\r\n\r\n");
    client.read_through("second;");
}

#[test]
fn a_request_body_is_passed_on_while_it_is_still_being_sent() {
    let pair = pair();
    let mut client = pair.client();
    client.send(
        b"POST /upload HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst;\r\n",
    );
    let mut upstream = pair.upstream.accept();
    upstream.read_through("first;");
    client.send(b"7\r\nsecond;\r\n0\r\n\r\n");
    upstream.read_through("second;");
    upstream.read_through("0\r\n\r\n");
    upstream.send(b"HTTP/1.1 204 No Content\r\n\r\n");
    assert!(client.read_head().starts_with("http/1.1 204"));
}

#[test]
fn headers_of_one_connection_stay_on_it_in_both_directions() {
    let pair = pair();
    let mut client = pair.client();
    client.send(
        b"GET / HTTP/1.1\r\nHost: gateway.test\r\nConnection: X-One\r\nX-One: 1\r\nConnection: keep-alive, x-two\r\n\
          X-Two: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nX-Three: 3\r\n\r\n",
    );
    let mut upstream = pair.upstream.accept();
    let request = upstream.read_head();
    for gone in ["x-one", "x-two", "keep-alive:", "proxy-connection"] {
        assert!(!request.contains(gone), "{gone} was passed on:\n{request}");
    }
    assert!(request.contains("x-three: 3\r\n"), "{request}");
    upstream.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: X-Four\r\nX-Four: 4\r\nConnection: x-five\r\n\
          X-Five: 5\r\nKeep-Alive: timeout=5\r\nX-Six: 6\r\n\r\n",
    );
    let answer = client.read_head();
    for gone in ["x-four", "x-five", "keep-alive:"] {
        assert!(!answer.contains(gone), "{gone} was passed on:\n{answer}");
    }
    assert!(answer.contains("x-six: 6\r\n"), "{answer}");
}

#[test]
fn the_upstream_learns_who_asked_and_not_what_a_stranger_claims() {
    let pair = pair();
    let mut client = pair.client();
    client.send(
        b"GET / HTTP/1.1\r\nHost: gateway.test\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
          X-Forwarded-Host: evil.test\r\n\r\n",
    );
    let request = pair.upstream.accept().read_head();
    assert!(request.contains("x-forwarded-for: 127.0.0.1\r\n"), "{request}");
    assert!(request.contains("x-forwarded-proto: http\r\n"), "{request}");
    assert!(request.contains("x-forwarded-host: gateway.test\r\n"), "{request}");
    assert!(!request.contains("evil.test") && !request.contains("192.0.2.1"), "{request}");
    assert!(request.contains("\r\nhost: gateway.test\r\n"), "{request}");
}

#[test]
fn a_client_that_goes_away_ends_its_request_upstream() {
    let pair = pair();
    let mut client = pair.client();
    client.send(b"GET /slow HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    let mut upstream = pair.upstream.accept();
    upstream.read_head();
    drop(client);
    upstream.read_to_the_end(); // returns only when the gateway closes the connection
}

#[test]
fn an_upstream_that_breaks_off_does_not_look_like_a_whole_answer() {
    let pair = pair();
    let mut client = pair.client();
    client.send(b"GET /half HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    let mut upstream = pair.upstream.accept();
    upstream.read_head();
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    client.read_through("half");
    drop(upstream);
    assert!(!client.read_to_the_end().contains("0\r\n\r\n"));
}

#[test]
fn a_websocket_is_joined_and_then_left_alone() {
    let pair = pair();
    let mut client = pair.client();
    client.send(
        b"GET /socket HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    let mut upstream = pair.upstream.accept();
    let request = upstream.read_head();
    assert!(request.contains("upgrade: websocket\r\n") && request.contains("sec-websocket-key"), "{request}");
    upstream.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello",
    );
    let answer = client.read_head();
    assert!(answer.starts_with("http/1.1 101") && answer.contains("upgrade: websocket\r\n"), "{answer}");
    client.read_through("hello");
    client.send(b"ping");
    upstream.read_through("ping");
    upstream.send(b"pong");
    client.read_through("pong");
    drop(client);
    upstream.read_to_the_end();
}

#[test]
fn a_head_request_keeps_the_length_and_sends_no_body() {
    let pair = pair();
    let mut client = pair.client();
    for _ in 0..2 {
        client.send(b"HEAD /file HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
        let mut upstream = pair.upstream.accept();
        upstream.read_head();
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nConnection: close\r\n\r\n");
        assert!(client.read_head().contains("content-length: 1234\r\n"));
    }
}

#[test]
fn trailers_arrive_in_both_directions() {
    let pair = pair();
    let mut client = pair.client();
    client.send(
        b"POST /grpc HTTP/1.1\r\nHost: gateway.test\r\nTE: trailers\r\nConnection: TE\r\nTrailer: X-Sum\r\n\
          Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    let mut upstream = pair.upstream.accept();
    assert!(upstream.read_head().contains("te: trailers\r\n"));
    let body = upstream.read_through("\r\n\r\n").to_lowercase();
    assert!(body.contains("x-sum: 1"), "{body}");
    upstream.send(
        b"HTTP/1.1 200 OK\r\nTrailer: X-Status\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\nX-Status: 0\r\n\r\n",
    );
    client.read_head();
    let body = client.read_through("\r\n\r\n").to_lowercase();
    assert!(body.contains("x-status: 0"), "{body}");
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked_when_the_upstream_asks() {
    let pair = pair();
    let mut client = pair.client();
    client.send(
        b"PUT /file HTTP/1.1\r\nHost: gateway.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    );
    let mut upstream = pair.upstream.accept();
    upstream.read_head();
    upstream.send(b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(client.read_head().starts_with("http/1.1 100"));
    client.send(b"body");
    upstream.read_through("body");
    upstream.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    assert!(client.read_head().starts_with("http/1.1 201"));
}

#[test]
fn connections_are_kept_on_both_sides() {
    let pair = pair();
    let mut client = pair.client();
    client.send(b"GET /1 HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    let mut upstream = pair.upstream.accept();
    for n in 1..=3 {
        assert!(upstream.read_head().starts_with(&format!("get /{n} ")));
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        client.read_through("ok");
        client.send(format!("GET /{} HTTP/1.1\r\nHost: gateway.test\r\n\r\n", n + 1).as_bytes());
    }
    upstream.read_head();
}

#[test]
fn a_large_answer_and_a_large_upload_need_little_memory() {
    const SIZE: usize = 256 * 1024 * 1024;
    let pair = pair();
    let mut client = pair.client();
    let head = |start: &str| format!("{start}\r\nHost: gateway.test\r\nContent-Length: {SIZE}\r\n\r\n");
    let chunk = vec![b'x'; 1024 * 1024];
    let send_all = |peer: &mut Peer| (0..SIZE / chunk.len()).for_each(|_| peer.send(&chunk));

    client.send(head("POST /large HTTP/1.1").as_bytes());
    let mut upstream = pair.upstream.accept();
    thread::scope(|scope| {
        scope.spawn(|| send_all(&mut client));
        upstream.read_head();
        upstream.skip(SIZE);
    });
    upstream.send(head("HTTP/1.1 200 OK").as_bytes());
    thread::scope(|scope| {
        scope.spawn(|| send_all(&mut upstream));
        client.read_head();
        client.skip(SIZE);
    });
    let peak = pair.gateway.peak_memory_kib();
    assert!(peak < 64 * 1024, "the gateway took {peak} KiB");
}
