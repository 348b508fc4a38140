//! SIGTERM: requests in flight finish, new ones are not taken, and the end comes in time.

use rustix::process::Signal;

use crate::support::{Gateway, Upstream, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[test]
fn a_request_in_flight_finishes_and_no_new_one_is_taken() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(GET);
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    client.read_head().assert_status(200);
    client.expect("5\r\nfirst\r\n");

    gateway.terminate();
    until(|| !gateway.is_listening());
    let (head, body) = gateway.admin("/readyz");
    head.assert_status(503);
    assert_eq!(body, "stopping\n");
    gateway.admin("/healthz").0.assert_status(200);

    server.send("4\r\nlast\r\n0\r\n\r\n");
    client.expect("4\r\nlast\r\n0\r\n\r\n");
    client.assert_closed();
    gateway.assert_ended_well();
}

/// The kernel connects whoever comes before the stop, and takes the request: it must not be lost with the listener.
#[test]
fn whoever_was_connected_by_the_kernel_alone_is_answered() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    gateway.signal(Signal::STOP);
    let mut clients: Vec<_> = (0..20).map(|_| gateway.send(GET)).collect();
    gateway.signal(Signal::TERM);
    gateway.signal(Signal::CONT);
    for _ in &clients {
        let mut server = upstream.accept();
        server.read_head();
        server.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    }
    for client in &mut clients {
        client.read_head().assert_status(204);
    }
    gateway.assert_ended_well();
}

#[test]
fn an_upload_in_flight_finishes() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nfirst");
    let mut server = upstream.accept();
    server.read_through("first");
    gateway.terminate();
    until(|| !gateway.is_listening());
    client.send("later");
    server.expect("later");
    server.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    let head = client.read_head();
    head.assert_status(201);
    head.assert_field("connection", "close");
    client.assert_closed();
    gateway.assert_ended_well();
}

#[test]
fn connections_without_a_request_do_not_hold_it_up() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("listen.drain_timeout_secs", "3600")]);
    let mut used = gateway.send(GET);
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    used.read_head().assert_status(204);
    let mut unused = gateway.connect();
    gateway.terminate();
    used.assert_closed();
    unused.read_to_the_end();
    server.assert_closed();
    gateway.assert_ended_well();
}

#[test]
fn a_stuck_request_holds_it_up_for_the_drain_timeout_only() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("listen.drain_timeout_secs", "1")]);
    let mut client = gateway.send(GET);
    let mut server = upstream.accept();
    server.read_head();
    gateway.terminate();
    client.read_to_the_end();
    server.assert_closed();
    gateway.assert_ended_well();
}

#[test]
fn an_open_tunnel_does_not_hold_it_up() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("listen.drain_timeout_secs", "3600")]);
    let mut client =
        gateway.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    client.read_head().assert_status(101);
    gateway.terminate();
    client.read_to_the_end();
    server.read_to_the_end();
    gateway.assert_ended_well();
}

#[test]
fn it_says_when_it_is_ready_and_what_is_missing() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| gateway.admin("/readyz"));
        let mut server = upstream.accept();
        server.read_head();
        server.send("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let (head, body) = asked.join().expect("answered");
        head.assert_status(200);
        assert_eq!(body, "ready\n");
    });
}
