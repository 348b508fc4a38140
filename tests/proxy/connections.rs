//! Connections to the upstream: kept, replaced, and bounded.

use crate::support::{Gateway, Upstream, Wire};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")
}

/// One request and its answer, on connections that are there already.
fn exchange(client: &mut Wire, server: &mut Wire, path: &str) {
    client.send(get(path));
    assert_eq!(server.read_head().start, format!("GET {path} HTTP/1.1"));
    server.send(OK);
    let (head, body) = client.read_answer();
    head.assert_status(200);
    assert_eq!(body, "ok");
}

#[test]
fn requests_of_one_client_share_one_upstream_connection() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(get("/0"));
    let mut server = upstream.accept();
    server.read_head();
    server.send(OK);
    client.read_answer();
    for n in 1..5 {
        exchange(&mut client, &mut server, &format!("/{n}"));
    }
}

#[test]
fn requests_of_several_clients_share_one_upstream_connection() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut first = gateway.send(get("/first"));
    let mut server = upstream.accept();
    server.read_head();
    server.send(OK);
    first.read_answer();
    exchange(&mut gateway.connect(), &mut server, "/second");
    // A client that wants its own connection closed does not mean the upstream's.
    let mut last = gateway.send("GET /last HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    server.read_head().assert_without(&["connection"]);
    server.send(OK);
    last.read_answer().0.assert_field("connection", "close");
    last.assert_closed();
    exchange(&mut first, &mut server, "/again");
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(get("/1") + &get("/2"));
    let mut server = upstream.accept();
    for n in 1..=2 {
        assert_eq!(server.read_head().start, format!("GET /{n} HTTP/1.1"));
        server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{n}"));
        assert_eq!(client.read_answer().1, n.to_string());
    }
}

#[test]
fn a_kept_connection_that_the_upstream_closed_is_replaced() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(get("/1"));
    let mut server = upstream.accept();
    server.read_head();
    server.send(OK);
    client.read_answer();
    drop(server);
    client.send(get("/2"));
    let mut server = upstream.accept();
    assert_eq!(server.read_head().start, "GET /2 HTTP/1.1");
    server.send(OK);
    assert_eq!(client.read_answer().1, "ok");
}

#[test]
fn a_body_is_sent_whole_on_the_connection_that_replaces_another() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(get("/1"));
    let mut server = upstream.accept();
    server.read_head();
    server.send(OK);
    client.read_answer();
    drop(server);
    client.send("POST /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nfirst");
    let mut server = upstream.accept();
    server.read_head().assert_field("content-length", "10");
    client.send("later");
    server.expect("firstlater");
    server.send(OK);
    client.read_answer().0.assert_status(200);
}

#[test]
fn a_connection_that_the_upstream_wants_closed_is_not_kept() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.connect();
    for n in 0..2 {
        client.send(get(&format!("/{n}")));
        let mut server = upstream.accept();
        server.read_head();
        server.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        let (head, body) = client.read_answer();
        head.assert_without(&["connection"]);
        assert_eq!(body, "ok");
        server.assert_closed();
    }
}

#[test]
fn an_unused_connection_is_closed_after_the_idle_timeout() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("upstream.idle_timeout_secs", "1")]);
    let mut client = gateway.send(get("/"));
    let mut server = upstream.accept();
    server.read_head();
    server.send(OK);
    client.read_answer();
    server.assert_closed();
    client.send(get("/"));
    let mut server = upstream.accept();
    server.read_head();
    server.send(OK);
    assert_eq!(client.read_answer().1, "ok");
}

#[test]
fn a_request_that_was_sent_is_not_sent_again() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(get("/once"));
    let mut server = upstream.accept();
    server.read_head();
    drop(server);
    let (head, body) = client.read_answer();
    head.assert_status(502);
    assert!(body.contains("temporarily_unavailable"), "{body}");
    upstream.assert_no_other_connection();
}

#[test]
fn a_request_that_was_sent_on_a_kept_connection_is_not_sent_again() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(get("/1"));
    let mut server = upstream.accept();
    server.read_head();
    server.send(OK);
    client.read_answer();
    client.send("POST /pay HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody");
    server.read_head();
    server.expect("body");
    drop(server);
    client.read_answer().0.assert_status(502);
    upstream.assert_no_other_connection();
}

#[test]
fn an_answer_that_nobody_asked_for_is_given_to_nobody() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut first = gateway.send(get("/first"));
    let mut server = upstream.accept();
    server.read_head();
    server.send(format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"));
    assert_eq!(first.read_answer().1, "ok");
    let mut second = gateway.send(get("/second"));
    let mut fresh = upstream.accept();
    assert_eq!(fresh.read_head().start, "GET /second HTTP/1.1");
    fresh.send(OK);
    assert_eq!(second.read_answer().1, "ok");
    server.read_to_the_end();
}

#[test]
fn more_requests_than_connections_are_answered_503() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("upstream.connections_max", "1")]);
    let mut first = gateway.send(get("/first"));
    let mut server = upstream.accept();
    server.read_head();
    let mut second = gateway.send(get("/second"));
    let (head, body) = second.read_answer();
    head.assert_status(503);
    assert!(head.has("retry-after"), "{head}");
    assert!(body.contains("temporarily_unavailable"), "{body}");
    server.send(OK);
    first.read_answer().0.assert_status(200);
    exchange(&mut second, &mut server, "/third");
}

/// Whoever trickles uploads takes no place of those who read, and these take none of those who log in.
#[test]
fn uploads_leave_connections_to_others_and_these_to_token_requests() {
    let upstream = Upstream::listen();
    let settings = [("upstream.connections_max", "8"), ("upstream.queue_timeout_ms", "50")];
    let gateway = Gateway::with(&upstream.url(), &settings);
    let upload = "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\na";
    let _slow: Vec<_> = (0..6)
        .map(|_| {
            let client = gateway.send(upload);
            let mut server = upstream.accept();
            server.read_through("a");
            (client, server)
        })
        .collect();
    gateway.send(upload).read_answer().0.assert_status(503);
    let get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let _reading = (gateway.send(get), upstream.accept());
    gateway.send(get).read_answer().0.assert_status(503);
    let body = "grant_type=password&username=bob&password=x&client_id=c";
    let mut client = gateway.send(format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut server = upstream.accept();
    server.read_through(body);
    server.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 25\r\n\r\n{\"error\":\"invalid_grant\"}");
    client.read_answer().0.assert_status(400);
}

/// A server may check the password before the rest: its session is no token, and no less.
#[test]
fn a_refused_grant_gives_no_session() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let body = "grant_type=password&username=bob&password=x&client_id=c&scope=zzz";
    let mut client = gateway.send(format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut server = upstream.accept();
    server.read_through(body);
    server.send(
        "HTTP/1.1 400 Bad Request\r\nSet-Cookie: SESS=bob\r\nSet-Cookie: b=c\r\nContent-Length: 25\r\n\r\n\
         {\"error\":\"invalid_scope\"}",
    );
    let (head, body) = client.read_answer();
    head.assert_status(400);
    head.assert_without(&["set-cookie"]);
    assert!(body.contains("invalid_scope"), "{body}");
}

#[test]
fn a_connection_that_closed_makes_room_for_another() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(
        &upstream.url(),
        &[("upstream.connections_max", "1"), ("upstream.idle_timeout_secs", "1")],
    );
    let mut client = gateway.connect();
    for close in ["", "Connection: close\r\n"] {
        client.send(get("/"));
        let mut server = upstream.accept();
        server.read_head();
        server.send(format!("HTTP/1.1 200 OK\r\n{close}Content-Length: 0\r\n\r\n"));
        client.read_answer().0.assert_status(200);
        server.assert_closed();
    }
}

#[test]
fn a_tunnel_counts_as_a_connection() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("upstream.connections_max", "1")]);
    let mut client = gateway
        .send("GET /socket HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello");
    client.read_head().assert_status(101);
    client.expect("hello");
    gateway.send(get("/")).read_answer().0.assert_status(503);
}

#[test]
fn more_clients_than_the_listener_serves_wait_their_turn() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("listen.connections_max", "1")]);
    let mut first = gateway.send(get("/first"));
    let mut second = gateway.send(get("/second"));
    let mut server = upstream.accept();
    assert_eq!(server.read_head().start, "GET /first HTTP/1.1");
    server.send(OK);
    first.read_answer().0.assert_status(200);
    drop(first);
    assert_eq!(server.read_head().start, "GET /second HTTP/1.1");
    server.send(OK);
    second.read_answer().0.assert_status(200);
}
