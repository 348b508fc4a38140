//! `Expect: 100-continue` (RFC 9110 section 10.1.1) and other interim answers.

use crate::support::{Gateway, Upstream};

const ASKING: &str =
    "PUT /file HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";

#[test]
fn a_client_is_told_to_go_on_when_the_upstream_says_so() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(ASKING);
    let mut server = upstream.accept();
    let head = server.read_head();
    head.assert_field("expect", "100-continue");
    head.assert_field("content-length", "4");
    server.send("HTTP/1.1 100 Continue\r\n\r\n");
    client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    server.expect("body");
    server.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    client.read_head().assert_status(201);
    // The connections are good for another request.
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(server.read_head().start, "GET / HTTP/1.1");
}

#[test]
fn a_client_whose_body_is_not_wanted_is_never_told_to_go_on() {
    for status in ["417 Expectation Failed", "401 Unauthorized", "200 OK"] {
        let upstream = Upstream::listen();
        let gateway = Gateway::in_front_of(&upstream);
        let mut client = gateway.send(ASKING);
        let mut server = upstream.accept();
        server.read_head();
        server.send(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno"));
        // The first thing that the client reads is the final answer.
        let (head, body) = client.read_answer();
        assert_eq!(head.start, format!("HTTP/1.1 {status}"));
        assert_eq!(body, "no");
        // Neither connection can be used again: the body might still come.
        client.assert_closed();
        server.assert_closed();
    }
}

#[test]
fn a_long_refusal_of_a_body_arrives_whole() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(ASKING);
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 10\r\n\r\nfirst");
    client.read_head().assert_status(413);
    client.expect("first");
    server.send("later");
    client.expect("later");
    client.assert_closed();
    server.assert_closed();
}

#[test]
fn a_client_is_told_to_go_on_when_the_upstream_is_silent() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(ASKING);
    let mut server = upstream.accept();
    server.read_head();
    client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    server.expect("body");
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    client.read_head().assert_status(204);
}

#[test]
fn a_client_that_does_not_wait_is_served_as_well() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(format!("{ASKING}body"));
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 100 Continue\r\n\r\n");
    server.expect("body");
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    let first = client.read_head();
    let last = if first.start.starts_with("HTTP/1.1 100") { client.read_head() } else { first };
    last.assert_status(204);
}

#[test]
fn other_interim_answers_do_not_disturb_the_final_one() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET /page HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    server.send("HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let (head, body) = client.read_answer();
    head.assert_status(200);
    head.assert_without(&["link"]);
    assert_eq!(body, "ok");
}

#[test]
fn early_hints_do_not_tell_a_client_to_go_on() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(ASKING);
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    server.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    client.read_head().assert_status(403);
}

#[test]
fn a_100_that_nobody_waits_for_does_not_disturb_the_final_answer() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody");
    let mut server = upstream.accept();
    server.read_head();
    server.expect("body");
    server.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    client.read_head().assert_status(200);
}
