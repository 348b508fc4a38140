//! Where messages end: answers without a body, empty bodies, and HTTP/1.0.

use crate::support::{Gateway, Upstream, Wire};

/// Sends a request, answers it, and returns both ends.
fn answered(gateway: &Gateway, upstream: &Upstream, request: &str, answer: &str) -> (Wire, Wire) {
    let client = gateway.send(request);
    let mut server = upstream.accept();
    server.read_head();
    server.send(answer);
    (client, server)
}

/// Another request and its answer show that nothing was left of the one before.
fn assert_in_step(client: &mut Wire, server: &mut Wire) {
    client.send("GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(server.read_head().start, "GET /next HTTP/1.1");
    server.send("HTTP/1.1 299 Next\r\nContent-Length: 4\r\n\r\nnext");
    let (head, body) = client.read_answer();
    head.assert_status(299);
    assert_eq!(body, "next");
}

#[test]
fn a_head_request_keeps_the_length_and_has_no_body() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, mut server) = answered(
        &gateway,
        &upstream,
        "HEAD /file HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"x\"\r\n\r\n",
    );
    let head = client.read_head();
    head.assert_field("content-length", "1234");
    head.assert_field("etag", "\"x\"");
    assert_in_step(&mut client, &mut server);
}

#[test]
fn a_head_request_is_not_given_a_length_that_the_upstream_did_not_say() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for framing in ["", "Transfer-Encoding: chunked\r\n"] {
        let (mut client, mut server) = answered(
            &gateway,
            &upstream,
            "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n",
            &format!("HTTP/1.1 200 OK\r\n{framing}\r\n"),
        );
        client.read_head().assert_without(&["content-length"]);
        assert_in_step(&mut client, &mut server);
        drop(server);
    }
}

#[test]
fn answers_that_have_no_body_end_with_their_head() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for answer in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let (mut client, mut server) =
            answered(&gateway, &upstream, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", answer);
        let head = client.read_head();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        head.assert_status(status);
        head.assert_without(&["transfer-encoding"]);
        assert!(status == 200 || !head.all("content-length").contains(&"0"), "{head}");
        assert_in_step(&mut client, &mut server);
        drop(server);
    }
}

#[test]
fn a_reason_phrase_of_the_upstreams_own_is_kept() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, _server) = answered(
        &gateway,
        &upstream,
        "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "HTTP/1.1 200 Quite All Right\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(client.read_head().start, "HTTP/1.1 200 Quite All Right");
}

#[test]
fn an_empty_body_stays_an_empty_body() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let _client = gateway.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    let head = upstream.accept().read_head();
    // Some servers answer 411 to a POST that does not say so.
    head.assert_field("content-length", "0");
}

#[test]
fn a_request_without_a_body_is_not_given_one() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for method in ["GET", "DELETE", "OPTIONS", "PROPFIND"] {
        let _client = gateway.send(format!("{method} / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        let head = upstream.accept().read_head();
        assert_eq!(head.start, format!("{method} / HTTP/1.1"));
        head.assert_without(&["content-length", "transfer-encoding"]);
    }
}

#[test]
fn a_get_request_may_have_a_body() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let _client = gateway.send("GET /search HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\n{}");
    let mut server = upstream.accept();
    server.read_head().assert_field("content-length", "2");
    server.expect("{}");
}

#[test]
fn an_http_1_0_client_is_not_sent_chunks() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, _server) = answered(
        &gateway,
        &upstream,
        "GET / HTTP/1.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n6\r\n of it\r\n0\r\n\r\n",
    );
    let head = client.read_head();
    head.assert_without(&["transfer-encoding"]);
    assert_eq!(client.read_to_the_end().0, "all of it");
}

#[test]
fn an_http_1_0_client_may_keep_its_connection() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.connect();
    let mut server = None;
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let server = server.get_or_insert_with(|| upstream.accept());
        assert_eq!(server.read_head().start, "GET / HTTP/1.1");
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let (head, body) = client.read_answer();
        head.assert_field("connection", "keep-alive");
        assert_eq!(body, "ok");
    }
}
