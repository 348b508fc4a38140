//! What the upstream learns of the client, and which names a client cannot use.

use crate::support::{Gateway, Head, Upstream};

/// What the upstream sees of a token request with these lines.
fn token_request_passed_on(lines: &str) -> Head {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let body = "grant_type=password&username=bob&password=x&client_id=c";
    let _client = gateway.send(format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         {lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    upstream.accept().read_head()
}

/// What the upstream sees of a request with these lines.
fn passed_on(settings: &[(&str, &str)], lines: &str) -> Head {
    let upstream = Upstream::listen();
    let gateway = Gateway::with(&upstream.url(), settings);
    let _client = gateway.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n"));
    upstream.accept().read_head()
}

const TRUSTED: &[(&str, &str)] = &[("listen.trusted_proxies", "['127.0.0.1']")];
const CLAIMS: &str = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2, 192.0.2.3\r\n\
    X-Forwarded-Proto: https\r\nX-Forwarded-Host: claimed.test\r\nX-Forwarded-Port: 8443\r\n\
    X-Forwarded-Prefix: /claimed\r\nX-Forwarded-Ssl: on\r\nX-Real-IP: 192.0.2.4\r\n\
    Forwarded: for=192.0.2.5;proto=https\r\n";

#[test]
fn the_upstream_learns_who_asked_and_for_what_host() {
    let head = passed_on(&[], "");
    head.assert_field("x-forwarded-for", "127.0.0.1");
    head.assert_field("x-forwarded-proto", "http");
    head.assert_field("x-forwarded-host", "a.test");
    head.assert_field("host", "a.test");
}

/// W3C Trace Context: the spans of the upstream are those of the client's trace.
#[test]
fn the_trace_of_a_request_goes_on_at_the_upstream() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const STATE: &str = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";
    let lines = format!("traceparent: {PARENT}\r\ntracestate: {STATE}\r\n");
    for head in [passed_on(&[], &lines), token_request_passed_on(&lines)] {
        head.assert_field("traceparent", PARENT);
        head.assert_field("tracestate", STATE);
    }
    for head in [passed_on(&[], ""), token_request_passed_on("")] {
        head.assert_without(&["traceparent", "tracestate"]);
    }
}

#[test]
fn what_a_stranger_claims_is_replaced() {
    let head = passed_on(&[], CLAIMS);
    head.assert_field("x-forwarded-for", "127.0.0.1");
    head.assert_field("x-forwarded-proto", "http");
    head.assert_field("x-forwarded-host", "a.test");
    head.assert_without(&[
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-ssl",
        "x-real-ip",
        "forwarded",
    ]);
}

#[test]
fn what_a_trusted_proxy_says_is_kept_and_added_to() {
    let head = passed_on(TRUSTED, CLAIMS);
    head.assert_field("x-forwarded-for", "192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1");
    head.assert_field("x-forwarded-proto", "https");
    head.assert_field("x-forwarded-host", "claimed.test");
    head.assert_field("x-forwarded-port", "8443");
    head.assert_field("x-forwarded-prefix", "/claimed");
    head.assert_field("x-real-ip", "192.0.2.4");
    head.assert_field("forwarded", "for=192.0.2.5;proto=https");
}

#[test]
fn what_a_trusted_proxy_does_not_say_is_filled_in() {
    let head = passed_on(TRUSTED, "");
    head.assert_field("x-forwarded-for", "127.0.0.1");
    head.assert_field("x-forwarded-proto", "http");
    head.assert_field("x-forwarded-host", "a.test");
}

#[test]
fn a_network_that_does_not_hold_the_client_does_not_make_it_trusted() {
    let head = passed_on(&[("listen.trusted_proxies", "['10.0.0.0/8']")], CLAIMS);
    head.assert_field("x-forwarded-for", "127.0.0.1");
    head.assert_without(&["x-real-ip"]);
}

#[test]
fn the_passcode_and_its_twins_go_no_further() {
    let head = passed_on(
        &[],
        "X-Drupal-TFA: 123456\r\nx-drupal-tfa: 234567\r\nX_Drupal_TFA: 123456\r\nX-Drupal_TFA: 123456\r\n\
         X.Drupal.TFA: 123456\r\nX-Kept: 1\r\n",
    );
    assert!(!head.to_string().contains("3456"), "{head}");
    head.assert_field("x-kept", "1");
}

#[test]
fn names_that_cgi_takes_for_others_go_no_further() {
    let head = passed_on(
        &[],
        "Content_Type: a\r\nX_Forwarded_For: 192.0.2.1\r\nX-Forwarded_Proto: https\r\nPlain: 1\r\nx~y: 1\r\n",
    );
    assert_eq!(head.all("plain"), ["1"]);
    head.assert_without(&["content_type", "x_forwarded_for", "x-forwarded_proto", "x~y"]);
}

#[test]
fn other_targets_that_some_servers_read_from_headers_go_no_further() {
    passed_on(&[], "X-Original-URL: /oauth2/token\r\nX-Rewrite-URL: /oauth2/token\r\n")
        .assert_without(&["x-original-url", "x-rewrite-url"]);
}

#[test]
fn values_pass_byte_for_byte() {
    let upstream = Upstream::listen();
    let gateway = Gateway::in_front_of(&upstream);
    let mut client = gateway.send(
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-Odd:  \t a \"b\" ,; \\ é \t \r\nX-Empty:\r\nAuthorization: Basic \
         cGxhdGZvcm0tY2xpOg==\r\n\r\n",
    );
    let mut server = upstream.accept();
    let head = server.read_head();
    head.assert_field("x-odd", "a \"b\" ,; \\ é");
    head.assert_field("x-empty", "");
    head.assert_field("authorization", "Basic cGxhdGZvcm0tY2xpOg==");
    server.send(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Odd: \"é\"\r\nWWW-Authenticate: Basic realm=\"a\"\r\n\r\n",
    );
    let head = client.read_head();
    head.assert_field("x-odd", "\"é\"");
    head.assert_field("www-authenticate", "Basic realm=\"a\"");
}
