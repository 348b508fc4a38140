//! Requests that two programs could cut in different places. Each is refused, or what the upstream gets
//! can be read in one way only.

use crate::support::{Gateway, Upstream};

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// The request is answered 400, the connection is closed, and the upstream hears nothing.
#[track_caller]
fn assert_refused(request: &str) {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(format!("{request}{HIDDEN}"));
    let (answer, _) = client.read_to_the_end();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?} was answered {answer:?}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?} was answered {answer:?}");
    upstream.assert_no_other_connection();
}

#[test]
fn two_lengths_are_refused() {
    assert_refused("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody");
    assert_refused("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4, 5\r\n\r\nbody");
}

#[test]
fn a_length_that_is_no_number_is_refused() {
    for length in ["-1", "+4", "0x4", "4 4", "", "4a", "18446744073709551616"] {
        assert_refused(&format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\nbody"));
    }
}

#[test]
fn a_transfer_coding_that_is_not_chunked_is_refused() {
    for coding in ["xchunked", "chunked, identity", "gzip", "chunkedx", "\"chunked\"", "identity"] {
        assert_refused(&format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"
        ));
    }
}

#[test]
fn chunks_in_http_1_0_are_refused() {
    assert_refused("POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

#[test]
fn fields_that_are_not_plain_are_refused() {
    for field in [
        "Transfer-Encoding : chunked",
        "X-Folded: a\r\n b",
        " X-Indented: a",
        "X-Nul: a\0b",
        "X-Bare: a\rb",
        "No colon",
        ": no name",
    ] {
        assert_refused(&format!("GET / HTTP/1.1\r\nHost: a.test\r\n{field}\r\n\r\n"));
    }
}

#[test]
fn of_chunks_and_a_length_only_the_chunks_are_passed_on() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        let _client = gateway.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n0\r\n\r\n"));
        let mut server = upstream.accept();
        let head = server.read_head();
        head.assert_without(&["content-length"]);
        head.assert_field("transfer-encoding", "chunked");
        server.expect("0\r\n\r\n");
    }
}

#[test]
fn one_length_said_twice_is_said_once() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let _client =
        gateway.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody");
    let mut server = upstream.accept();
    server.read_head().assert_field("content-length", "4");
    server.expect("body");
}

#[test]
fn lines_that_end_in_a_bare_line_feed_are_written_anew() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let _client = gateway.send("GET /a HTTP/1.1\nHost: a.test\nX-One: 1\n\n");
    let text = upstream.accept().read_through("\r\n\r\n");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "{text:?}");
    assert!(
        text.starts_with("GET /a HTTP/1.1\r\n") && text.to_lowercase().contains("x-one: 1\r\n"),
        "{text}"
    );
}

#[test]
fn chunks_are_written_anew_without_their_extensions() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let _client = gateway.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
         0004;ext=\"a;b\";other\r\nbody\r\n0;last\r\n\r\n",
    );
    let mut server = upstream.accept();
    server.read_head();
    server.expect("4\r\nbody\r\n0\r\n\r\n");
}

#[test]
fn chunks_that_are_cut_wrong_end_both_connections() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for chunks in [
        "4\r\nbodyXX0\r\n\r\n",
        "0x4\r\nbody\r\n0\r\n\r\n",
        "-4\r\nbody\r\n0\r\n\r\n",
        "4;a\nb\r\nbody\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nbody\r\n0\r\n\r\n",
        "\r\nbody\r\n0\r\n\r\n",
    ] {
        let mut client = gateway.send(format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{HIDDEN}"
        ));
        // The head may have gone upstream or not, but nothing there looks like a whole request.
        let (seen, _) = upstream.accept().read_to_the_end();
        assert!(!seen.contains("0\r\n\r\n") && !seen.contains("hidden"), "{chunks:?} became {seen:?}");
        let (answer, _) = client.read_to_the_end();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunks:?} was answered {answer:?}");
    }
}

#[test]
fn what_follows_a_body_is_a_request_of_its_own() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway
        .send(format!("POST /first HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody{HIDDEN}"));
    let mut server = upstream.accept();
    server.read_head();
    server.expect("body");
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    client.read_head().assert_status(204);
    // It was judged as such: it has the gateway's own fields.
    let head = server.read_head();
    assert_eq!(head.start, "GET /hidden HTTP/1.1");
    head.assert_field("x-forwarded-for", "127.0.0.1");
}

#[test]
fn the_token_endpoint_cannot_be_reached_by_a_request_within_a_body() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let inner = "GET /oauth2//token HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut client = gateway.send(format!(
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Content-Length\r\nContent-Length: {}\r\n\r\n{inner}",
        inner.len()
    ));
    let mut server = upstream.accept();
    server.read_head().assert_field("content-length", &inner.len().to_string());
    server.expect(inner);
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    client.read_head().assert_status(204);
}
