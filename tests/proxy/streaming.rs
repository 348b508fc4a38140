//! Bodies are passed on while they are still being sent, in either direction, in little memory.

use std::thread;

use crate::support::{Gateway, Upstream, Wire};

const MIB: usize = 1024 * 1024;

#[test]
fn the_first_chunk_of_an_answer_arrives_before_the_second_is_sent() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst;\r\n");
    client.read_head().assert_field("transfer-encoding", "chunked");
    client.expect("6\r\nfirst;\r\n");
    server.send("7\r\nsecond;\r\n0\r\n\r\n");
    client.expect("7\r\nsecond;\r\n0\r\n\r\n");
}

#[test]
fn the_first_part_of_an_answer_with_a_length_arrives_before_the_second_is_sent() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET /file HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
    client.read_head().assert_field("content-length", "10");
    client.expect("first");
    server.send("later");
    client.expect("later");
}

#[test]
fn the_head_of_an_answer_arrives_before_its_body_is_sent() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.read_head().assert_field("content-type", "text/event-stream");
    server.send("4\r\nbody\r\n0\r\n\r\n");
    client.expect("4\r\nbody\r\n0\r\n\r\n");
}

#[test]
fn the_first_chunk_of_an_upload_arrives_before_the_second_is_sent() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway
        .send("POST /upload HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst;\r\n");
    let mut server = upstream.accept();
    server.read_head().assert_field("transfer-encoding", "chunked");
    server.expect("6\r\nfirst;\r\n");
    client.send("7\r\nsecond;\r\n0\r\n\r\n");
    server.expect("7\r\nsecond;\r\n0\r\n\r\n");
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    client.read_head().assert_status(204);
}

#[test]
fn an_upload_with_a_length_keeps_it_and_is_passed_on_as_it_comes() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("PUT /file HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nfirst");
    let mut server = upstream.accept();
    let head = server.read_head();
    head.assert_field("content-length", "10");
    head.assert_without(&["transfer-encoding"]);
    server.expect("first");
    client.send("later");
    server.expect("later");
    server.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    client.read_head().assert_status(201);
}

#[test]
fn an_answer_may_begin_before_the_upload_is_over_and_both_go_on() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client =
        gateway.send("POST /talk HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.expect("3\r\none\r\n");
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nuno\r\n");
    client.read_head().assert_status(200);
    client.expect("3\r\nuno\r\n");
    client.send("3\r\ntwo\r\n");
    server.expect("3\r\ntwo\r\n");
    server.send("3\r\ndue\r\n");
    client.expect("3\r\ndue\r\n");
    client.send("0\r\n\r\n");
    server.expect("0\r\n\r\n");
    server.send("0\r\n\r\n");
    client.expect("0\r\n\r\n");
}

#[test]
fn an_answer_that_ends_with_its_connection_reaches_the_client_whole() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET /old HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it");
    drop(server);
    let (head, body) = client.read_answer();
    head.assert_field("content-length", "9");
    assert_eq!(body, "all of it");
}

#[test]
fn trailers_arrive_in_both_directions() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(
        "POST /call HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE\r\nTrailer: X-Sum\r\n\
         Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    let mut server = upstream.accept();
    let head = server.read_head();
    head.assert_field("te", "trailers");
    head.assert_field("trailer", "X-Sum");
    let trailers = |wire: &mut Wire| wire.read_chunks();
    assert_eq!(trailers(&mut server), ("abc".into(), vec![("x-sum".into(), "1".into())]));
    server.send(
        "HTTP/1.1 200 OK\r\nTrailer: X-Status\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\ndef\r\n0\r\nX-Status: 0\r\n\r\n",
    );
    client.read_head().assert_field("trailer", "X-Status");
    assert_eq!(trailers(&mut client), ("def".into(), vec![("x-status".into(), "0".into())]));
}

#[test]
fn a_client_that_takes_no_trailers_gets_the_body_without_them() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head().assert_without(&["te"]);
    server.send(
        "HTTP/1.1 200 OK\r\nTrailer: X-Status\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\ndef\r\n0\r\nX-Status: 0\r\n\r\n",
    );
    assert_eq!(client.read_answer().1, "def");
}

#[test]
fn the_passcode_and_its_twins_do_not_travel_as_trailers_either() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let _client = gateway.send(
        "POST /call HTTP/1.1\r\nHost: a.test\r\nTrailer: X-Sum, X-Drupal-TFA, X_Drupal_TFA\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\nX-Drupal-TFA: 123456\r\nX_Drupal_TFA: 123456\r\nX-Sum: 1\r\n\r\n",
    );
    let mut server = upstream.accept();
    server.read_head();
    assert_eq!(server.read_chunks(), (String::new(), vec![("x-sum".into(), "1".into())]));
}

fn send_all(wire: &mut Wire, size: usize) {
    let piece = vec![b'x'; MIB];
    for _ in 0..size / MIB {
        wire.send(&piece);
    }
}

#[test]
fn large_bodies_need_little_memory_in_either_direction() {
    const SIZE: usize = 256 * MIB;
    const GROWTH_MAX_KIB: u64 = 16 * 1024;
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET /warm HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    client.read_head().assert_status(200);
    let before = gateway.memory_kib("VmRSS");

    client.send(format!("POST /large HTTP/1.1\r\nHost: a.test\r\nContent-Length: {SIZE}\r\n\r\n"));
    thread::scope(|scope| {
        scope.spawn(|| send_all(&mut client, SIZE));
        server.read_head();
        server.skip(SIZE);
    });
    server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
    thread::scope(|scope| {
        scope.spawn(|| send_all(&mut server, SIZE));
        client.read_head().assert_status(200);
        client.skip(SIZE);
    });
    let growth = gateway.memory_kib("VmHWM").saturating_sub(before);
    assert!(growth < GROWTH_MAX_KIB, "the gateway's memory grew by {growth} KiB");
}

#[test]
fn a_client_that_does_not_read_makes_the_upstream_wait_and_not_the_memory_grow() {
    const SIZE: usize = 64 * MIB;
    const GROWTH_MAX_KIB: u64 = 16 * 1024;
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let before = gateway.memory_kib("VmRSS");
    let mut lazy = gateway.send("GET /large HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
    thread::scope(|scope| {
        scope.spawn(|| send_all(&mut server, SIZE));
        // Others are served meanwhile.
        let mut other = gateway.send("GET /other HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let mut second = upstream.accept();
        second.read_head();
        second.send("HTTP/1.1 204 No Content\r\n\r\n");
        other.read_head().assert_status(204);
        lazy.read_head().assert_status(200);
        lazy.skip(SIZE);
    });
    let growth = gateway.memory_kib("VmHWM").saturating_sub(before);
    assert!(growth < GROWTH_MAX_KIB, "the gateway's memory grew by {growth} KiB");
}
