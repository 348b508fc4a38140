//! A client that leaves takes its request along.

use std::time::Instant;

use crate::support::{Gateway, PATIENCE, Upstream, Wire};

#[test]
fn leaving_before_the_head_of_the_answer_closes_the_upstream_connection() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let client = gateway.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    drop(client);
    server.assert_closed();
}

#[test]
fn leaving_within_the_answer_closes_the_upstream_connection() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst;\r\n");
    client.read_through("first;");
    drop(client);
    // The upstream sends nothing more, so that no failed write tells the gateway.
    server.assert_closed();
}

#[test]
fn leaving_while_the_upstream_sends_closes_the_upstream_connection() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET /large HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
    client.read_head().assert_status(200);
    drop(client);
    server.send_until_refused(&[b'x'; 16384], 65_536);
}

#[test]
fn leaving_within_an_upload_closes_the_upstream_connection() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for framing in ["Content-Length: 10\r\n\r\nfirst", "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"] {
        let client = gateway.send(format!("PUT /file HTTP/1.1\r\nHost: a.test\r\n{framing}"));
        let mut server = upstream.accept();
        server.read_through("first");
        drop(client);
        let (rest, _) = server.read_to_the_end();
        assert!(!rest.contains("0\r\n\r\n"), "half a body looks whole: {rest:?}");
    }
}

#[test]
fn a_refusal_arrives_while_the_upload_presses() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("PUT /file HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1073741824\r\n\r\n");
    let mut server = upstream.accept();
    client.send_until_stuck(&[b'x'; 16384]);
    server.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    let (head, body) = client.read_answer();
    head.assert_status(413);
    assert_eq!(body, "no");
}

#[test]
fn leaving_while_waiting_to_be_asked_for_the_body_closes_the_upstream_connection() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let client = gateway
        .send("PUT /file HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    drop(client);
    server.assert_closed();
}

#[test]
fn a_refused_upload_goes_no_further() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("PUT /file HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nfirst");
    let mut server = upstream.accept();
    server.read_through("first");
    server.send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
    drop(server);
    let (head, body) = client.read_answer();
    head.assert_status(413);
    assert_eq!(body, "no");
}

const GRANT: &str = "grant_type=password&username=bob&password=x&client_id=c";

/// A gateway that revokes, its upstream, and the upstream's connection with a grant of a client who has left.
fn grant_of_a_client_that_left() -> (Upstream, Gateway, Wire) {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("revocation.style", "'rfc7009'")]);
    let client = gateway.send(format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{GRANT}",
        GRANT.len()
    ));
    let mut server = upstream.accept();
    server.read_head();
    server.expect(GRANT);
    client.finish_sending();
    drop(client);
    (upstream, gateway, server)
}

fn answer(server: &mut Wire, status: &str, body: &str) {
    server.send(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
}

const TOKEN: &str = r#"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"Bearer"}"#;

/// Elsewhere a client that leaves cancels its request. A grant may be under way to a token, which would live on
/// unseen: it is waited for, and revoked.
#[test]
fn the_token_of_a_client_that_left_before_it_was_issued_is_revoked() {
    let (upstream, _gateway, mut server) = grant_of_a_client_that_left();
    answer(&mut server, "200 OK", TOKEN);
    let mut server = upstream.accept();
    server.read_head();
    server.read_through("token=2YotnFZFEjr1zCsicMWpAA");
}

#[test]
fn a_refusal_of_a_client_that_left_is_no_token_that_was_lost() {
    let (_upstream, gateway, mut server) = grant_of_a_client_that_left();
    answer(&mut server, "400 Bad Request", r#"{"error":"invalid_grant"}"#);
    gateway.terminate();
    let log = gateway.ended_well();
    assert!(!log.contains("will not be revoked"), "{log}");
}

#[test]
fn a_grant_of_a_client_that_left_is_waited_for_when_the_gateway_is_stopped() {
    let (_upstream, gateway, mut server) = grant_of_a_client_that_left();
    gateway.terminate();
    let start = Instant::now();
    while gateway.is_listening() {
        assert!(start.elapsed() < PATIENCE, "it goes on listening");
    }
    answer(&mut server, "200 OK", TOKEN);
    // It was decided, and its token is in the store, for the next gateway to revoke.
    let log = gateway.ended_well();
    assert!(log.contains("released_without_factor"), "{log}");
    assert!(!log.contains("will not be revoked") && !log.contains("under way"), "{log}");
}
