//! What one client may have under way over HTTP/2, and what is believed of a proxy that does not say for whom it speaks.

use std::{path::Path, process::Command};

use crate::{
    support::{Stage, StoreKind, TokenRequest, assert_challenge_head, assert_token, quietly},
    tls::Authority,
};

/// A hundred requests fit into one connection: they count by client, as connections do.
#[test]
fn who_has_too_many_requests_under_way_is_told_so_and_others_are_served() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let authority = Authority::new(stage.config.dir());
    let (certificate, key) = authority.certify_as("site", "/CN=site", "IP:127.0.0.1,DNS:site.test");
    stage.config.set_text("listen.certificate_file", certificate.to_str().expect("UTF-8"));
    stage.config.set_text("listen.key_file", key.to_str().expect("UTF-8"));
    stage.config.set("listen.threads", "1");
    stage.config.set("limits.client_connections_max", "20");
    stage.serve();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut python = Command::new(tests.join(".work/venv/bin/python"));
    python.arg(tests.join("clients/http2_crowd.py")).arg(stage.gateway().address().port().to_string());
    let printed = quietly(python.arg(authority.file("ca.pem")).arg("20"));
    let seen: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(seen["beside"], "status 429", "{seen:#}");
    assert_eq!(seen["after"], "status 200", "{seen:#}");
    assert_eq!(seen["many fields"], "status 431", "{seen:#}");
}

#[test]
fn a_client_cannot_name_its_own_address_behind_a_proxy_that_names_none() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.enrol("alice");
    stage.config.set("listen.proxy_protocol", "true");
    stage.config.set("listen.trusted_proxies", "['127.0.0.1']");
    stage.config.set("policy", "[{ networks = ['192.0.2.0/24'], then = 'exempt' }]");
    stage.serve();
    let send = |header: &[u8]| {
        let request = TokenRequest::alice().header("X-Forwarded-For", "192.0.2.7");
        stage.send_raw(&[header, &request.bytes()].concat())
    };
    for unnamed in
        [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0"]
    {
        assert_challenge_head(&send(unnamed));
    }
    assert_challenge_head(&send(b"PROXY TCP4 203.0.113.1 10.0.0.1 4711 443\r\n"));
    assert_token(&send(b"PROXY TCP4 192.0.2.9 10.0.0.1 4711 443\r\n"));
}
