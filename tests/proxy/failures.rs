//! What a client sees when the upstream, or the client itself, does not do its part.

use std::time::{Duration, Instant};

use crate::support::{Gateway, Head, PATIENCE, Upstream, refusing_url, silent_url};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[track_caller]
fn assert_unavailable((head, body): &(Head, String), status: u16) {
    head.assert_status(status);
    head.assert_field("content-type", "application/json");
    head.assert_field("cache-control", "no-store");
    head.assert_without(&["x-drupal-tfa"]);
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["error"], "temporarily_unavailable");
    assert!(body["error_description"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
}

#[test]
fn an_upstream_that_refuses_connections_is_502() {
    let (url, _kept) = refusing_url();
    let gateway = Gateway::with(&url, &[]);
    let mut client = gateway.send(GET);
    assert_unavailable(&client.read_answer_soon(), 502);
    // The client's connection is as good as before.
    client.send(GET);
    assert_unavailable(&client.read_answer_soon(), 502);
}

#[test]
fn a_head_request_gets_the_head_of_a_502() {
    let (url, _kept) = refusing_url();
    let gateway = Gateway::with(&url, &[]);
    let mut client = gateway.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.read_head().assert_status(502);
    client.send(GET);
    assert_unavailable(&client.read_answer_soon(), 502);
}

#[test]
fn an_upstream_that_does_not_accept_is_502() {
    let (url, _full) = silent_url();
    let gateway = Gateway::with(&url, &[("upstream.connect_timeout_ms", "200")]);
    assert_unavailable(&gateway.send(GET).read_answer_soon(), 502);
}

#[test]
fn an_upstream_that_accepts_and_says_nothing_is_504() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("upstream.response_timeout_ms", "200")]);
    let mut client = gateway.send(GET);
    let mut server = upstream.accept();
    server.read_head();
    assert_unavailable(&client.read_answer_soon(), 504);
    server.assert_closed();
    upstream.assert_no_other_connection();
}

#[test]
fn an_upstream_that_does_not_read_an_upload_is_504_and_its_connection_is_closed() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(
        &upstream.url(),
        &[("upstream.response_timeout_ms", "1000"), ("upstream.connections_max", "1")],
    );
    let mut client = gateway.send("PUT /file HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1073741824\r\n\r\n");
    let mut server = upstream.accept();
    client.send_until_stuck(&[b'x'; 16384]);
    assert_unavailable(&client.read_answer_soon(), 504);
    drop(client);
    server.send_until_refused(b"HTTP/1.1 102 Processing\r\n\r\n", usize::MAX);
}

#[test]
fn an_upstream_that_stops_within_a_head_is_504() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("upstream.response_timeout_ms", "200")]);
    let mut client = gateway.send(GET);
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Le");
    assert_unavailable(&client.read_answer_soon(), 504);
    server.assert_closed();
}

#[test]
fn interim_answers_do_not_put_off_the_time_limit() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("upstream.response_timeout_ms", "200")]);
    let mut client = gateway.send(GET);
    let mut server = upstream.accept();
    server.read_head();
    server.send_until_refused(b"HTTP/1.1 103 Early Hints\r\n\r\n", usize::MAX);
    assert_unavailable(&client.read_answer_soon(), 504);
}

#[test]
fn a_slow_upload_does_not_time_out_while_it_moves() {
    const LIMIT: Duration = Duration::from_secs(2);
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("upstream.response_timeout_ms", "2000")]);
    let mut client = gateway.send("PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    let start = Instant::now();
    // Each piece is sent when the one before has arrived.
    while start.elapsed() < 2 * LIMIT {
        client.send("1\r\nx\r\n");
        server.expect("1\r\nx\r\n");
    }
    client.send("0\r\n\r\n");
    server.expect("0\r\n\r\n");
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    client.read_head().assert_status(204);
}

#[test]
fn an_answer_that_breaks_off_does_not_look_whole() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for (framing, seen) in [
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "4\r\nhalf\r\n"),
        ("Transfer-Encoding: chunked\r\n\r\n8\r\nhalf", "4\r\nhalf\r\n"),
        ("Content-Length: 8\r\n\r\nhalf", "half"),
    ] {
        let mut client = gateway.send(GET);
        let mut server = upstream.accept();
        server.read_head();
        server.send(format!("HTTP/1.1 200 OK\r\n{framing}"));
        client.read_head().assert_status(200);
        client.expect(seen);
        drop(server);
        // Neither a last chunk nor the missing bytes: the client can tell.
        client.assert_closed();
    }
}

#[test]
fn an_answer_that_is_not_http_is_502() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for nonsense in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 2000 What\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        "",
    ] {
        let mut client = gateway.send(GET);
        let mut server = upstream.accept();
        server.read_head();
        server.send(nonsense);
        server.finish_sending();
        assert_unavailable(&client.read_answer_soon(), 502);
        server.read_to_the_end();
    }
}

#[test]
fn an_answer_whose_head_is_large_passes() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(GET);
    let mut server = upstream.accept();
    server.read_head();
    let large = "x".repeat(40 * 1024);
    server.send(format!("HTTP/1.1 200 OK\r\nX-Large: {large}\r\nContent-Length: 0\r\n\r\n"));
    client.read_head().assert_field("x-large", &large);
}

#[test]
fn an_answer_whose_head_does_not_end_is_502() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(GET);
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\n");
    server.send_until_refused(format!("X-Endless: {}\r\n", "x".repeat(8000)).as_bytes(), 10_000);
    assert_unavailable(&client.read_answer_soon(), 502);
}

#[test]
fn a_client_that_is_slow_with_its_head_is_cut_off() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("listen.header_timeout_secs", "1")]);
    for start in ["", "GET / HTTP/1.1\r\nHost: a.te"] {
        let mut client = gateway.send(start);
        client.read_to_the_end();
    }
}

#[test]
fn a_client_that_trickles_its_head_is_cut_off() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("listen.header_timeout_secs", "1")]);
    let mut client = gateway.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Endless: ");
    let start = Instant::now();
    // Each byte is a sign of life, and does not count as one.
    let mut reader = client.another();
    std::thread::scope(|scope| {
        scope.spawn(move || reader.read_to_the_end());
        while client.is_taken("x") {
            assert!(start.elapsed() < PATIENCE, "the gateway goes on reading");
            // A trickle, as of somebody who types.
            std::thread::park_timeout(Duration::from_millis(10));
        }
    });
}

#[test]
fn an_unused_client_connection_is_closed() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("listen.header_timeout_secs", "1")]);
    let mut client = gateway.send(GET);
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    client.read_head().assert_status(204);
    client.assert_closed();
}

#[test]
fn a_request_whose_head_is_too_large_is_refused() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Large: ");
    client.send("x".repeat(64 * 1024));
    client.read_head().assert_status(431);
}
