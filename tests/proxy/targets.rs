//! Methods, request targets and hosts.

use crate::support::{Gateway, Upstream};

#[test]
fn path_and_query_pass_byte_for_byte() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.connect();
    let mut server = None;
    for target in [
        "/",
        "/?",
        "//",
        "//a//b///",
        "/a/./b/../c",
        "/%2e%2E/%2f%2F",
        "/caf%C3%A9/%ff%00",
        "/a;b=c,d:e@f!$&'()*+~-._",
        "/a?b=c&b=d&&=&e",
        "/a?b?c/d",
        "/a?%3D%26+%20%zz",
        "/a?url=http://x.test/?y",
        "/a{}|\\^[]?{}|\\^[]",
        "/a?q=%61%2561",
        "/oauth2/revoke?token=x",
    ] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        let server = server.get_or_insert_with(|| upstream.accept());
        assert_eq!(server.read_head().start, format!("GET {target} HTTP/1.1"));
        server.send("HTTP/1.1 204 No Content\r\n\r\n");
        client.read_head().assert_status(204);
    }
}

#[test]
fn a_target_that_fills_a_head_passes() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let target = format!("/{}?{}", "a".repeat(8000), "b".repeat(20_000));
    let _client = gateway.send(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
    assert_eq!(upstream.accept().read_head().start, format!("GET {target} HTTP/1.1"));
}

#[test]
fn a_target_that_is_no_target_is_refused() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for target in ["/a b", "/\u{1}", "", "\\a"] {
        let mut client = gateway.send(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        client.read_head().assert_status(400);
    }
}

#[test]
fn an_absolute_target_becomes_a_path_and_its_host_counts() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for (target, path, host) in [
        ("http://b.test/a?b", "/a?b", "b.test"),
        ("http://b.test:8080/", "/", "b.test:8080"),
        ("http://b.test", "/", "b.test"),
        ("http://b.test?c", "/?c", "b.test"),
        ("https://B.test//d", "//d", "B.test"),
    ] {
        let _client = gateway.send(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        let head = upstream.accept().read_head();
        assert_eq!(head.start, format!("GET {path} HTTP/1.1"));
        head.assert_field("host", host);
        head.assert_field("x-forwarded-host", host);
    }
}

#[test]
fn an_absolute_target_cannot_have_a_user_name() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET http://a.test@b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.read_head().assert_status(400);
}

#[test]
fn a_server_can_be_asked_for_its_options() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let _client = gateway.send("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(upstream.accept().read_head().start, "OPTIONS * HTTP/1.1");
}

#[test]
fn connect_and_trace_are_refused() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for request in ["CONNECT b.test:443", "CONNECT /", "TRACE /"] {
        let mut client = gateway.send(format!("{request} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        let head = client.read_head();
        assert!(head.start.starts_with("HTTP/1.1 4"), "{request}:\n{head}");
        upstream.assert_no_other_connection();
    }
}

#[test]
fn a_request_has_one_host() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for lines in [
        "",
        "Host: a.test\r\nHost: b.test\r\n",
        "Host: a.test\r\nhost: a.test\r\n",
        "Host: a.test, b.test\r\n",
        "Host: a.test/b\r\n",
        "Host: u@a.test\r\n",
        "Host: a.test b.test\r\n",
    ] {
        let mut client = gateway.send(format!("GET / HTTP/1.1\r\n{lines}\r\n"));
        client.read_head().assert_status(400);
    }
}

#[test]
fn a_host_passes_as_the_client_wrote_it() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    for host in ["A.test", "a.test:8080", "[::1]:80", "xn--caf-dma.test", "a_b.test"] {
        let _client = gateway.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        upstream.accept().read_head().assert_field("host", host);
    }
}

#[test]
fn http_1_0_needs_no_host() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send("GET /old HTTP/1.0\r\n\r\n");
    let mut server = upstream.accept();
    let head = server.read_head();
    assert_eq!(head.start, "GET /old HTTP/1.1");
    head.assert_field("host", &upstream.authority());
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert!(client.read_to_the_end().0.ends_with("\r\n\r\nok"));
}
