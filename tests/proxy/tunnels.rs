//! Upgrades (RFC 9110 section 7.8): to WebSocket, if the upstream agrees, and to nothing else.

use std::thread;

use crate::support::{Gateway, Upstream, Wire};

const OFFER: &str = "GET /socket HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A tunnel that is open from end to end.
fn tunnel(gateway: &Gateway, upstream: &Upstream) -> (Wire, Wire) {
    let mut client = gateway.send(OFFER);
    let mut server = upstream.accept();
    server.read_head();
    server.send(AGREED);
    client.read_head().assert_status(101);
    (client, server)
}

#[test]
fn the_handshake_of_a_websocket_is_passed_on_whole() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(OFFER);
    let mut server = upstream.accept();
    let head = server.read_head();
    head.assert_field("upgrade", "websocket");
    head.assert_field("connection", "upgrade");
    head.assert_field("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    head.assert_field("sec-websocket-version", "13");
    server.send(AGREED);
    let head = client.read_head();
    head.assert_status(101);
    head.assert_field("upgrade", "websocket");
    head.assert_field("connection", "upgrade");
    head.assert_field("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    head.assert_without(&["content-length", "transfer-encoding"]);
}

#[test]
fn bytes_pass_through_a_tunnel_in_both_directions() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, mut server) = tunnel(&gateway, &upstream);
    client.send("GET /not-http HTTP/1.1\r\n\r\n");
    server.expect("GET /not-http HTTP/1.1\r\n\r\n");
    server.send("HTTP/1.1 500 Not An Answer\r\n\r\n");
    client.expect("HTTP/1.1 500 Not An Answer\r\n\r\n");
    client.send("ping");
    server.expect("ping");
}

#[test]
fn bytes_that_follow_the_handshake_at_once_are_not_lost() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(format!("{OFFER}early"));
    let mut server = upstream.accept();
    server.read_head();
    server.send(format!("{AGREED}hello"));
    client.read_head().assert_status(101);
    client.expect("hello");
    server.expect("early");
}

#[test]
fn a_tunnel_carries_much_in_both_directions_at_once() {
    const SIZE: usize = 32 * 1024 * 1024;
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, mut server) = tunnel(&gateway, &upstream);
    let (mut client_writes, mut server_writes) = (client.another(), server.another());
    let piece = vec![b'x'; 1024 * 1024];
    thread::scope(|scope| {
        scope.spawn(|| (0..SIZE / piece.len()).for_each(|_| client_writes.send(&piece)));
        scope.spawn(|| (0..SIZE / piece.len()).for_each(|_| server_writes.send(&piece)));
        scope.spawn(|| client.skip(SIZE));
        server.skip(SIZE);
    });
    client_writes.send("end");
    server.expect("end");
}

#[test]
fn each_side_that_leaves_ends_the_tunnel_for_the_other() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (client, mut server) = tunnel(&gateway, &upstream);
    drop(client);
    server.assert_closed();
    let (mut client, server) = tunnel(&gateway, &upstream);
    drop(server);
    client.assert_closed();
}

#[test]
fn what_is_sent_before_leaving_arrives() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, mut server) = tunnel(&gateway, &upstream);
    client.send("last words");
    client.finish_sending();
    assert_eq!(server.read_to_the_end().0, "last words");
    server.send("understood");
    drop(server);
    assert_eq!(client.read_to_the_end().0, "understood");
}

#[test]
fn an_upstream_may_refuse_the_upgrade() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(OFFER);
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\nContent-Length: 2\r\n\r\nno");
    let (head, body) = client.read_answer();
    head.assert_status(426);
    head.assert_field("sec-websocket-version", "8");
    assert_eq!(body, "no");
    // Both connections speak HTTP as before.
    client.send("GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let head = server.read_head();
    assert_eq!(head.start, "GET /next HTTP/1.1");
    head.assert_without(&["upgrade", "connection"]);
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    client.read_head().assert_status(204);
}

#[test]
fn an_upgrade_to_http_2_is_not_asked_for() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.connect();
    let mut server = None;
    for upgrade in ["h2c", "websocket, h2c", "HTTP/2.0", "TLS/1.0"] {
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        ));
        let server = server.get_or_insert_with(|| upstream.accept());
        server.read_head().assert_without(&["upgrade", "connection", "http2-settings"]);
        server.send("HTTP/1.1 204 No Content\r\n\r\n");
        client.read_head().assert_status(204);
    }
}

#[test]
fn http_1_0_has_no_upgrades() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let _client = gateway.send(OFFER.replace("HTTP/1.1", "HTTP/1.0"));
    upstream.accept().read_head().assert_without(&["upgrade", "connection"]);
}

#[test]
fn an_upstream_that_switches_unasked_is_a_bad_gateway() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send(AGREED);
    client.read_answer().0.assert_status(502);
    server.assert_closed();
}

#[test]
fn an_upstream_that_switches_to_something_else_is_a_bad_gateway() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(OFFER);
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    client.read_answer().0.assert_status(502);
    server.assert_closed();
}
