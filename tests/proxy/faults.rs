//! A token endpoint behind the gateway that breaks: what the client sees, and that no token leaves half judged.

use crate::support::{Gateway, Head, Upstream, Wire};

const GRANT: &str = "grant_type=password&username=bob&password=x&client_id=c";
const ISSUED: &str = r#"{"access_token":"t0k3n","token_type":"Bearer","expires_in":3600}"#;

fn ask(gateway: &Gateway, upstream: &Upstream) -> (Wire, Wire) {
    let client = gateway.send(format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{GRANT}",
        GRANT.len()
    ));
    let mut server = upstream.accept();
    server.read_through(GRANT);
    (client, server)
}

#[track_caller]
fn assert_nothing_left((head, body): &(Head, String), status: u16) {
    head.assert_status(status);
    assert!(body.contains("temporarily_unavailable"), "{body}");
    assert!(!format!("{head}{body}").contains("t0k3n"), "{head}{body}");
}

/// The gateway serves the next one as if nothing had been.
fn assert_serves(gateway: &Gateway, upstream: &Upstream) {
    let (mut client, mut server) = ask(gateway, upstream);
    server.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ISSUED}",
        ISSUED.len()
    ));
    assert_eq!(client.read_answer().1, ISSUED);
}

#[test]
fn an_answer_that_is_cut_is_a_502() {
    let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    for answer in [
        "HTTP/1.1 200 O".to_owned(),
        format!("{json}Content-Length: {}\r\n\r\n{}", ISSUED.len(), &ISSUED[..40]),
        format!("{json}Transfer-Encoding: chunked\r\n\r\n28\r\n{}\r\n", &ISSUED[..40]),
        format!("{json}Transfer-Encoding: chunked\r\n\r\nzz\r\n{ISSUED}"),
        // Whole by its looks, and cut by its length.
        format!("{json}Content-Length: {}\r\n\r\n{ISSUED}", ISSUED.len() + 1),
    ] {
        let upstream = Upstream::listen();
        let gateway = Gateway::in_front_of(&upstream);
        let (mut client, mut server) = ask(&gateway, &upstream);
        server.send(&answer);
        drop(server);
        assert_nothing_left(&client.read_answer_soon(), 502);
        assert_serves(&gateway, &upstream);
    }
}

#[test]
fn garbage_is_a_502() {
    for answer in
        ["\x16\x03\x01 this is TLS", "220 mail.test ESMTP\r\n", "HTTP/2.0 200 OK\r\n\r\n", "\0\0\0\0"]
    {
        let upstream = Upstream::listen();
        let gateway = Gateway::in_front_of(&upstream);
        let (mut client, mut server) = ask(&gateway, &upstream);
        server.send(answer);
        drop(server);
        assert_nothing_left(&client.read_answer_soon(), 502);
        assert_serves(&gateway, &upstream);
    }
}

#[test]
fn a_head_without_an_end_is_a_502_after_its_bound() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, mut server) = ask(&gateway, &upstream);
    server.send("HTTP/1.1 200 OK\r\n");
    server.send_until_refused(format!("X-More: {}\r\n", "x".repeat(1000)).as_bytes(), 100_000);
    assert_nothing_left(&client.read_answer_soon(), 502);
    assert_serves(&gateway, &upstream);
}

#[test]
fn interim_answers_without_an_end_are_a_504_after_the_time_limit() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("upstream.response_timeout_ms", "1000")]);
    let (mut client, mut server) = ask(&gateway, &upstream);
    server.send_until_refused(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", usize::MAX);
    assert_nothing_left(&client.read_answer_soon(), 504);
    assert_serves(&gateway, &upstream);
}

#[test]
fn an_enormous_answer_is_a_502_after_its_bound_in_flat_memory() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    assert_serves(&gateway, &upstream);
    let before = gateway.memory_kib("VmRSS");
    let (mut client, mut server) = ask(&gateway, &upstream);
    server.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    server.send_until_refused(chunk.as_bytes(), 100_000);
    assert_nothing_left(&client.read_answer_soon(), 502);
    let grown = gateway.memory_kib("VmHWM").saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more");
    assert_serves(&gateway, &upstream);
}

#[test]
fn a_body_that_stops_is_a_504_after_the_time_limit() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("upstream.response_timeout_ms", "1000")]);
    let (mut client, mut server) = ask(&gateway, &upstream);
    let half = &ISSUED[..40];
    server.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{half}",
        ISSUED.len()
    ));
    assert_nothing_left(&client.read_answer_soon(), 504);
    assert_serves(&gateway, &upstream);
}

/// Wherever the client goes, the next one is served, and the connection that was left is not used for it.
#[test]
fn a_client_that_leaves_at_any_step_leaves_nothing_behind() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let whole = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{GRANT}",
        GRANT.len()
    );
    for cut in [0, 10, whole.len() - GRANT.len(), whole.len() - 1] {
        drop(gateway.send(&whole[..cut]));
    }
    assert_serves(&gateway, &upstream);
    let (client, mut server) = ask(&gateway, &upstream);
    drop(client);
    server.read_to_the_end();
    assert_serves(&gateway, &upstream);
}
