//! What a client may ask for, and what it is told when it asks for more.

use std::time::Instant;

use tfa_gateway::types::limits::TOKEN_REQUEST_BYTES_MAX;

use crate::support::{Gateway, PATIENCE, Upstream, Wire};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
/// A token request without the end of its head.
const TOKEN: &str =
    "POST /oauth2/token HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/x-www-form-urlencoded\r\n";
const GRANT: &str = "grant_type=password&username=bob&password=x&client_id=c";
const REFUSED: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 25\r\n\r\n{\"error\":\"invalid_grant\"}";

fn with(upstream: &Upstream, settings: &[(&str, &str)]) -> Gateway {
    Gateway::with(&upstream.url(), settings)
}

fn answer_nothing(server: &mut Wire) {
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

#[track_caller]
fn assert_told(client: &mut Wire, status: u16, words: &str) {
    let (head, body) = client.read_answer();
    head.assert_status(status);
    assert!(body.contains(words), "{body}");
}

#[test]
fn a_head_that_trickles_is_a_408_and_an_idle_connection_just_ends() {
    let upstream = Upstream::listen();
    // Longer than a busy machine takes to send half a head.
    let gateway = with(&upstream, &[("listen.header_timeout_secs", "5")]);
    let mut slow = gateway.send("GET / HTTP/1.1\r\nHost: a.t");
    let mut unused = gateway.connect();
    // The second request of a connection, too.
    let mut kept = gateway.send(GET);
    let mut server = upstream.accept();
    answer_nothing(&mut server);
    kept.read_answer().0.assert_status(200);
    kept.send("GET / HT");
    let mut idle = gateway.send(GET);
    answer_nothing(&mut server);
    idle.read_answer().0.assert_status(200);
    assert_told(&mut slow, 408, "did not arrive in time");
    slow.assert_closed();
    assert_told(&mut kept, 408, "did not arrive in time");
    unused.assert_closed();
    idle.assert_closed();
}

#[test]
fn a_head_that_is_too_large_is_a_431() {
    let upstream = Upstream::listen();
    let settings = [("limits.head_bytes_max", "8192"), ("limits.fields_max", "16")];
    let gateway = with(&upstream, &settings);
    let long = format!("GET / HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n\r\n", "x".repeat(10_000));
    gateway.send(long).read_head().assert_status(431);
    let many = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{}\r\n", "X: y\r\n".repeat(20));
    gateway.send(many).read_head().assert_status(431);
    // To the byte, and also where a head is more than what is read at once.
    let gateway = Gateway::in_front_of(&upstream);
    let head = |bytes: usize| {
        let (start, end) = ("GET / HTTP/1.1\r\nHost: a.test\r\nX: ", "\r\n\r\n");
        start.to_owned() + &"x".repeat(bytes - start.len() - end.len()) + end
    };
    gateway.send(head(64 * 1024 + 1)).read_head().assert_status(431);
    let mut fits = gateway.send(head(64 * 1024));
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    fits.read_answer().0.assert_status(200);
}

#[test]
fn a_body_that_is_too_large_is_a_413_whether_it_says_so_or_not() {
    let upstream = Upstream::listen();
    let gateway = with(&upstream, &[("limits.body_bytes_max", "1000")]);
    let mut said = gateway.send("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1001\r\n\r\n");
    assert_told(&mut said, 413, "at most 1000 bytes");
    let mut unsaid = gateway.send("POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    unsaid.send(format!("1f4\r\n{}\r\n1f5\r\n{}\r\n", "x".repeat(500), "x".repeat(501)));
    let mut server = upstream.accept();
    server.read_to_the_end();
    assert_told(&mut unsaid, 413, "at most 1000 bytes");
    // A thousand are not too many.
    let body = "x".repeat(1000);
    let mut fits =
        gateway.send(format!("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\n{body}"));
    let mut server = upstream.accept();
    server.read_through(&body);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    fits.read_answer().0.assert_status(200);
}

/// Nor does the upstream hear of it: a connection to it that nobody expects fails the test.
#[test]
fn a_token_request_that_is_too_large_is_a_413() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let padded =
        |bytes: usize| format!("{GRANT}&state={}", "x".repeat(bytes - GRANT.len() - "&state=".len()));
    let (most, more) = (padded(TOKEN_REQUEST_BYTES_MAX), padded(TOKEN_REQUEST_BYTES_MAX + 1));
    let mut said = gateway.send(format!("{TOKEN}Content-Length: {}\r\n\r\n{more}", more.len()));
    assert_told(&mut said, 413, "at most 64 KiB");
    let mut unsaid = gateway.send(format!("{TOKEN}Transfer-Encoding: chunked\r\n\r\n"));
    unsaid.send(format!("{:x}\r\n{most}\r\n1\r\nx\r\n", most.len()));
    assert_told(&mut unsaid, 413, "at most 64 KiB");
    // 64 KiB are not too many.
    let mut fits = gateway.send(format!("{TOKEN}Content-Length: {}\r\n\r\n{most}", most.len()));
    let mut server = upstream.accept();
    server.read_through(&most);
    server.send(REFUSED);
    fits.read_answer().0.assert_status(400);
}

#[test]
fn a_token_request_that_does_not_end_is_a_408() {
    let upstream = Upstream::listen();
    let gateway = with(&upstream, &[("limits.token_body_timeout_secs", "1")]);
    for sent in ["", "grant_type=password&username=bob"] {
        let mut client = gateway.send(format!("{TOKEN}Content-Length: {}\r\n\r\n{sent}", GRANT.len()));
        assert_told(&mut client, 408, "did not arrive in time");
        client.assert_closed();
    }
}

#[test]
fn an_upload_that_stalls_is_a_408_and_frees_the_upstream() {
    let upstream = Upstream::listen();
    let gateway = with(&upstream, &[("limits.body_silence_secs", "1")]);
    let mut client = gateway.send("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\nabc");
    let mut server = upstream.accept();
    server.read_through("abc");
    assert_told(&mut client, 408, "did not arrive in time");
    server.read_to_the_end();
}

#[test]
fn an_upstream_that_takes_its_time_is_not_the_clients_fault() {
    let upstream = Upstream::listen();
    let settings = [("limits.body_silence_secs", "1"), ("upstream.response_timeout_ms", "2500")];
    let gateway = with(&upstream, &settings);
    let mut client = gateway.send("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc");
    let mut server = upstream.accept();
    server.read_through("abc");
    assert_told(&mut client, 504, "did not answer in time");
    server.read_to_the_end();
}

#[test]
fn a_client_has_so_many_connections_and_a_trusted_proxy_any_number() {
    let upstream = Upstream::listen();
    let gateway = with(&upstream, &[("limits.client_connections_max", "3")]);
    let mut kept: Vec<Wire> = (0..3)
        .map(|_| {
            let mut client =
                gateway.send("BAD\r\n\r\n".replace("BAD", "GET /oauth2/token HTTP/1.1\r\nHost: a"));
            client.read_answer().0.assert_status(405);
            client
        })
        .collect();
    let mut fourth = gateway.connect();
    assert_told(&mut fourth, 429, "Too many connections");
    fourth.assert_closed();
    kept.pop();
    // The gateway sees that it has gone.
    let start = Instant::now();
    while gateway.send("GET /oauth2/token HTTP/1.1\r\nHost: a\r\n\r\n").read_head().start.contains("429") {
        assert!(start.elapsed() < PATIENCE, "its place is not given to another");
    }

    let settings = [("limits.client_connections_max", "1"), ("listen.trusted_proxies", "['127.0.0.1']")];
    let gateway = with(&upstream, &settings);
    let _kept: Vec<Wire> = (0..3)
        .map(|_| {
            let mut client = gateway.send("GET /oauth2/token HTTP/1.1\r\nHost: a\r\n\r\n");
            client.read_answer().0.assert_status(405);
            client
        })
        .collect();
}

#[test]
fn when_it_gets_tight_what_passes_is_shed_before_log_ins() {
    let upstream = Upstream::listen();
    let gateway = with(&upstream, &[("limits.requests_max", "8")]);
    let waiting: Vec<(Wire, Wire)> = (0..7)
        .map(|_| {
            let client = gateway.send(GET);
            let mut server = upstream.accept();
            server.read_head();
            (client, server)
        })
        .collect();
    assert_told(&mut gateway.send(GET), 503, "Too many requests");
    let mut login = gateway.send(format!("{TOKEN}Content-Length: {}\r\n\r\n{GRANT}", GRANT.len()));
    let mut server = upstream.accept();
    server.read_through(GRANT);
    server.send(REFUSED);
    login.read_answer().0.assert_status(400);
    drop(waiting);
}

#[test]
fn whoever_finds_all_connections_busy_waits_for_one() {
    let upstream = Upstream::listen();
    let settings = [("upstream.connections_max", "1"), ("upstream.queue_timeout_ms", "60000")];
    let gateway = with(&upstream, &settings);
    let mut first = gateway.send(GET);
    let mut server = upstream.accept();
    server.read_head();
    let mut second = gateway.send("GET /second HTTP/1.1\r\nHost: a.test\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    first.read_answer().0.assert_status(200);
    assert!(server.read_head().start.starts_with("GET /second "));
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    second.read_answer().0.assert_status(200);
}
