//! A token that another route than the token endpoint hands out does not leave, however it is written.

use std::io::Write as _;

use crate::support::{Gateway, Head, Upstream, Wire};

const TOKEN: &str = "2YotnFZFEjr1zCsicMWpAA";
const ISSUED: &str = r#"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"Bearer","expires_in":3600}"#;

/// A client that has asked for something, and the upstream that was asked.
fn asked(gateway: &Gateway, upstream: &Upstream, fields: &str) -> (Wire, Wire, Head) {
    let client = gateway.send(format!("GET /en/login HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"));
    let mut server = upstream.accept();
    let head = server.read_head();
    (client, server, head)
}

fn with_length(media_type: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[track_caller]
fn assert_stopped(client: &mut Wire) {
    let (head, body) = client.read_answer();
    head.assert_status(502);
    head.assert_field("content-type", "application/json");
    head.assert_without(&["x-drupal-tfa", "set-cookie", "location", "content-encoding"]);
    let said: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(said["error"], "server_error");
    assert!(!body.contains(TOKEN), "{body}");
}

#[test]
fn an_answer_that_issues_a_token_is_a_502_and_the_next_request_is_served() {
    for media_type in
        ["application/json", "text/html", "text/plain; charset=utf-8", "application/octet-stream"]
    {
        // Of their own, for the connection that is kept ends with its server.
        let upstream = Upstream::listen();
        let gateway = Gateway::in_front_of(&upstream);
        let (mut client, mut server, _) = asked(&gateway, &upstream, "");
        server.send(with_length(media_type, ISSUED));
        assert_stopped(&mut client);
        // The answer was read to its end, so that its connection serves again.
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        server.read_head();
        server.send(with_length(media_type, "{}"));
        assert_eq!(client.read_answer().1, "{}");
    }
}

#[test]
fn a_token_without_a_media_type_in_small_chunks_is_a_502() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, mut server, _) = asked(&gateway, &upstream, "");
    server.send("HTTP/1.1 200 OK\r\nSet-Cookie: S=1\r\nTransfer-Encoding: chunked\r\n\r\n");
    for byte in ISSUED.bytes().take(60) {
        server.send(format!("1\r\n{}\r\n", char::from(byte)));
    }
    assert_stopped(&mut client);
}

#[test]
fn a_token_whose_key_is_split_over_packets_is_a_502() {
    for cut in [1, 5, 14, 15, 16, 17, 30] {
        let upstream = Upstream::listen();
        let gateway = Gateway::in_front_of(&upstream);
        let (mut client, mut server, _) = asked(&gateway, &upstream, "");
        let answer = with_length("application/json", ISSUED);
        let cut = answer.len() - ISSUED.len() + cut;
        server.send(&answer[..cut]);
        server.send(&answer[cut..]);
        assert_stopped(&mut client);
    }
}

#[test]
fn a_compressed_token_is_a_502() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(ISSUED.as_bytes()).expect("encoded");
    let encoded = gzip.finish().expect("encoded");
    let (mut client, mut server, head) =
        asked(&gateway, &upstream, "Accept-Encoding: gzip, deflate, br, zstd\r\n");
    head.assert_field("accept-encoding", "gzip, br");
    let length = encoded.len();
    server.send(format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"));
    server.send(&encoded);
    assert_stopped(&mut client);
}

#[test]
fn a_coding_that_nobody_can_undo_is_a_502_for_text_and_passes_for_pictures() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for (media_type, is_stopped) in [("text/html", true), ("image/png", false)] {
        let (mut client, mut server, _) = asked(&gateway, &upstream, "Accept-Encoding: zstd\r\n");
        server.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Encoding: zstd\r\nContent-Length: 3\r\n\r\nabc"
        ));
        if is_stopped {
            assert_stopped(&mut client);
        } else {
            assert_eq!(client.read_answer().1, "abc");
        }
    }
}

#[test]
fn a_redirect_with_a_token_is_a_502() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, mut server, _) = asked(&gateway, &upstream, "");
    server.send(format!(
        "HTTP/1.1 302 Found\r\nLocation: https://app.test/cb#access_token={TOKEN}&token_type=bearer\r\nContent-Length: 0\r\n\r\n"
    ));
    assert_stopped(&mut client);
}

#[test]
fn a_page_that_hands_a_token_to_its_script_is_a_502() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let page = format!("<!DOCTYPE html><script>location='https://app.test/cb#access_token={TOKEN}'</script>");
    let (mut client, mut server, _) = asked(&gateway, &upstream, "");
    server.send(with_length("text/html", &page));
    assert_stopped(&mut client);
}

#[test]
fn a_token_late_in_a_stream_breaks_it_off_before_the_value() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, mut server, _) = asked(&gateway, &upstream, "");
    server.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    let padding = "x".repeat(100_000);
    server.send(format!("{:x}\r\n{{\"a\":\"{padding}\",\r\n", padding.len() + 8));
    client.read_head().assert_status(200);
    client.skip(100_000);
    server.send(format!("{:x}\r\n{ISSUED}\r\n", ISSUED.len()));
    let (rest, _) = client.read_to_the_end();
    assert!(!rest.contains(&TOKEN[..4]) && !rest.contains("0\r\n\r\n"), "{rest}");
}

#[test]
fn a_part_of_an_answer_without_its_beginning_is_a_502() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, mut server, head) = asked(&gateway, &upstream, "Range: bytes=16-\r\n");
    head.assert_field("range", "bytes=16-");
    let rest = &ISSUED[16..];
    server.send(format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Type: application/json\r\nContent-Range: bytes 16-{}/{}\r\n\
         Content-Length: {}\r\n\r\n{rest}",
        ISSUED.len() - 1,
        ISSUED.len(),
        rest.len()
    ));
    assert_stopped(&mut client);
    let (_, mut server, head) = asked(&gateway, &upstream, "Range: bytes=0-0,16-\r\n");
    head.assert_without(&["range"]);
    server.send(with_length("text/html", ""));
}

#[test]
fn a_listed_route_may_issue_tokens_and_its_neighbours_may_not() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("tripwire.may_issue", "['/sso/*']")]);
    for (path, passes) in
        [("/sso/login", true), ("/SSO/login", false), ("/sso/%6cogin", false), ("/x", false)]
    {
        let mut client = gateway.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        let mut server = upstream.accept();
        server.read_head();
        server.send(with_length("application/json", ISSUED));
        if passes {
            assert_eq!(client.read_answer().1, ISSUED);
            drop(server);
        } else {
            assert_stopped(&mut client);
        }
    }
}

#[test]
fn a_report_lets_it_pass_and_writes_it_down_without_the_token() {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), &[("tripwire.mode", "'report'")]);
    let (mut client, mut server, _) = asked(&gateway, &upstream, "");
    server.send(with_length("application/json", ISSUED));
    assert_eq!(client.read_answer().1, ISSUED);
    gateway.terminate();
    let log = gateway.ended_well();
    assert!(log.contains("token_seen") && log.contains("/en/login"), "{log}");
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
fn a_stop_is_written_to_the_audit_trail_without_the_token() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, mut server, _) = asked(&gateway, &upstream, "");
    server.send(with_length("application/json", ISSUED));
    assert_stopped(&mut client);
    let (_, metrics) = gateway.admin("/metrics");
    assert!(metrics.contains("\ntfa_gateway_tripwire_stopped_total 1\n"), "{metrics}");
    gateway.terminate();
    let log = gateway.ended_well();
    assert!(log.contains("token_stopped") && log.contains("/en/login"), "{log}");
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
fn an_upstream_that_breaks_off_while_its_answer_is_held_is_a_502() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, mut server, _) = asked(&gateway, &upstream, "");
    server.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"a\":1,");
    drop(server);
    let (head, body) = client.read_answer();
    head.assert_status(502);
    assert!(body.contains("temporarily_unavailable"), "{body}");
}

#[test]
fn json_that_trickles_arrives_before_it_has_ended() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let (mut client, mut server, _) = asked(&gateway, &upstream, "");
    server.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1,\r\n");
    client.read_head().assert_status(200);
    client.expect("7\r\n{\"a\":1,\r\n");
    server.send("6\r\n\"b\":2}\r\n0\r\n\r\n");
    client.expect("6\r\n\"b\":2}\r\n0\r\n\r\n");
}
