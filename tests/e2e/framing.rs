//! Requests that two programs could take for different ones: refused, or made plain before they go on.

use crate::{
    proxying::pair,
    support::{Peer, get},
};

/// Sends bytes on a connection of their own and returns what comes back until it is closed.
fn answer_to(peer: &mut Peer, request: &[u8]) -> String {
    peer.send(request);
    peer.read_to_the_end()
}

/// What the gateway refuses itself: the upstream hears nothing of it, for the next thing it hears is this.
#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let pair = pair();
    for (what, request) in [
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n"),
        ("no host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"),
        ("a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n"),
        ("a user name in the target", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        ("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("a length that is none", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na"),
        ("an unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("a space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n"),
        ("a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n"),
        ("a tunnel", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nConnection: close\r\n\r\n"),
        ("a trace", "TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    ] {
        let answer = answer_to(&mut pair.client(), request.as_bytes());
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(status, "400" | "405"), "{what}: {answer}");
    }
    let mut client = pair.client();
    client.send(&get("/next"));
    assert!(pair.upstream.accept().read_head().starts_with("get /next "));
}

#[test]
fn of_a_length_and_chunks_only_the_chunks_go_on() {
    let pair = pair();
    let mut client = pair.client();
    client.send(
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let mut upstream = pair.upstream.accept();
    let head = upstream.read_head();
    assert!(head.contains("transfer-encoding: chunked") && !head.contains("content-length"), "{head}");
    assert!(upstream.read_through("0\r\n\r\n").contains("abc"));
}

#[test]
fn an_absolute_target_names_the_host_and_goes_on_as_a_path() {
    let pair = pair();
    let mut client = pair.client();
    client.send(b"GET http://real.test/p?q=1 HTTP/1.1\r\nHost: other.test\r\n\r\n");
    let head = pair.upstream.accept().read_head();
    assert!(head.starts_with("get /p?q=1 http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: real.test\r\n") && !head.contains("other.test"), "{head}");
}

#[test]
fn path_and_query_go_on_byte_for_byte() {
    let pair = pair();
    let mut client = pair.client();
    let target = "//a/./b/../%7e%2F;p=1,x/?a=%20+&&b&=c?d/e|";
    client.send(&get(target));
    let head = pair.upstream.accept().read_through("\r\n");
    assert_eq!(head, format!("GET {target} HTTP/1.1\r\n"));
}

#[test]
fn an_old_client_needs_no_host() {
    let pair = pair();
    let mut client = pair.client();
    client.send(b"GET / HTTP/1.0\r\n\r\n");
    let mut upstream = pair.upstream.accept();
    assert!(upstream.read_head().contains("\r\nhost: 127.0.0.1:"));
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    let answer = client.read_to_the_end();
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("\r\n\r\nhi"), "{answer}");
}

#[test]
fn only_a_websocket_is_a_way_to_another_protocol() {
    let pair = pair();
    let mut client = pair.client();
    client.send(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    );
    let mut upstream = pair.upstream.accept();
    let head = upstream.read_head();
    assert!(!head.contains("upgrade") && !head.contains("http2-settings"), "{head}");
    upstream.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
    let answer = client.read_head();
    assert!(!answer.starts_with("http/1.1 101"), "{answer}");
}

#[test]
fn a_kept_connection_that_the_upstream_has_closed_costs_nobody_an_answer() {
    let pair = pair();
    let mut client = pair.client();
    client.send(&get("/one"));
    let mut upstream = pair.upstream.accept();
    upstream.read_head();
    upstream.send(b"HTTP/1.1 204 No Content\r\n\r\n");
    client.read_head();
    drop(upstream);
    client.send(&get("/two"));
    let mut upstream = pair.upstream.accept();
    assert!(upstream.read_head().starts_with("get /two "));
}

#[test]
fn a_request_that_was_sent_is_not_sent_again() {
    let pair = pair();
    let mut client = pair.client();
    client.send(b"POST /once HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    let mut upstream = pair.upstream.accept();
    upstream.read_through("body");
    drop(upstream);
    assert!(client.read_head().starts_with("http/1.1 502"));
    client.send(&get("/next"));
    assert!(pair.upstream.accept().read_head().starts_with("get /next "), "it was sent again");
}

#[test]
fn an_endless_head_of_an_answer_is_given_up() {
    let pair = pair();
    let mut client = pair.client();
    client.send(&get("/"));
    let mut upstream = pair.upstream.accept();
    upstream.read_head();
    upstream.send(b"HTTP/1.1 200 OK\r\n");
    upstream.send_until_closed(b"X-More: and more of it, and more of it, and more of it\r\n");
    assert!(client.read_head().starts_with("http/1.1 502"));
}

#[test]
fn an_early_hint_stays_here_and_the_answer_arrives() {
    let pair = pair();
    let mut client = pair.client();
    client.send(&get("/"));
    let mut upstream = pair.upstream.accept();
    upstream.read_head();
    upstream.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    assert!(client.read_head().starts_with("http/1.1 204"));
}

#[test]
fn a_body_that_is_not_wanted_is_not_asked_for() {
    let pair = pair();
    let mut client = pair.client();
    client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n");
    let mut upstream = pair.upstream.accept();
    upstream.read_head();
    upstream.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    assert!(client.read_head().starts_with("http/1.1 417"), "it was asked for its body");
}
