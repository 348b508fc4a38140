//! Fields of one connection stay on it (RFC 9110 section 7.6.1), and no other field can be made one.

use crate::support::{Gateway, Head, Upstream};

/// What the upstream sees of a request with these lines, which is then answered.
fn passed_on(lines: &str) -> Head {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n"));
    let mut server = upstream.accept();
    let head = server.read_head();
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    client.read_head().assert_status(204);
    head
}

#[test]
fn every_connection_line_of_a_request_is_read() {
    let head = passed_on(
        "Connection: X-One, keep-alive\r\nX-One: 1\r\nConnection: x-two\r\nX-Two: 2\r\nCONNECTION: ,X-Three ,\r\n\
         X-Three: 3\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nX-Four: 4\r\n",
    );
    head.assert_without(&["connection", "x-one", "x-two", "x-three", "keep-alive", "proxy-connection"]);
    head.assert_field("x-four", "4");
}

#[test]
fn every_connection_line_of_an_answer_is_read() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: X-One\r\nX-One: 1\r\nConnection: x-two, Set-Cookie\r\n\
         X-Two: 2\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Three: 3\r\n\r\n",
    );
    let head = client.read_head();
    head.assert_without(&["connection", "x-one", "x-two", "keep-alive", "upgrade"]);
    head.assert_field("x-three", "3");
    assert_eq!(head.all("set-cookie"), ["a=1", "b=2"]);
}

#[test]
fn end_to_end_fields_cannot_be_named_away() {
    let head = passed_on(
        "Connection: Host, Authorization, Content-Type, Cookie\r\nConnection: X-Forwarded-For, X-Forwarded-Proto\r\n\
         Authorization: Bearer x\r\nContent-Type: text/plain\r\nCookie: a=1\r\n",
    );
    head.assert_field("host", "a.test");
    head.assert_field("authorization", "Bearer x");
    head.assert_field("content-type", "text/plain");
    head.assert_field("cookie", "a=1");
    head.assert_field("x-forwarded-for", "127.0.0.1");
    head.assert_field("x-forwarded-proto", "http");
}

#[test]
fn a_body_is_not_lost_when_its_length_is_named_away() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let _client = gateway.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: Content-Length\r\nContent-Length: 4\r\n\r\nbody",
    );
    let mut server = upstream.accept();
    server.read_head().assert_field("content-length", "4");
    server.expect("body");
}

#[test]
fn only_trailers_remain_of_te() {
    passed_on("TE: trailers\r\nConnection: TE\r\n").assert_field("te", "trailers");
    passed_on("TE: gzip;q=0.5, Trailers\r\n").assert_field("te", "trailers");
    passed_on("TE: gzip\r\n").assert_without(&["te"]);
}

#[test]
fn repeated_end_to_end_fields_keep_their_number_and_order() {
    let head = passed_on("X-List: b\r\nX-Other: 1\r\nX-List: a\r\nx-list: c\r\n");
    assert_eq!(head.all("x-list"), ["b", "a", "c"]);
}
