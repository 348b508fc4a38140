//! Attempts to get a token past the second factor, each of which the upstream alone falls for.

use crate::support::{Stage, StoreKind, TokenRequest, assert_denied, exchange, has_token};

/// A password grant of alice's to another target.
fn grant_at(target: &str) -> Vec<u8> {
    let request = String::from_utf8(TokenRequest::alice().bytes()).expect("ASCII");
    request.replacen("/oauth2/token", target, 1).into_bytes()
}

#[test]
fn a_target_that_the_upstream_cuts_at_a_nul_byte_is_refused() {
    let (stage, _) = Stage::with_alice(StoreKind::Embedded);
    for target in [
        "/oauth2/token%00x",
        "/oauth2/token%00/../../x",
        "/oauth2/token%2500x",
        "/?q=oauth2/token%00x",
        "/x?q=oauth2/token%00/../../x",
    ] {
        let direct = exchange(stage.upstream.address(), &grant_at(target)).expect("an answer");
        assert_eq!(has_token(&direct), !target.contains("%25"), "the upstream: {target}");
        let (answer, received) = stage.upstream.received_during(|| stage.send_raw(&grant_at(target)));
        assert_denied(&answer, 404, "invalid_request");
        assert!(received.is_empty(), "forwarded: {received:?}");
    }
}

#[test]
fn a_target_that_climbs_out_of_the_endpoint_is_refused() {
    let (stage, _) = Stage::with_alice(StoreKind::Embedded);
    // Drupal matches the leading segments of what the client sent, `..` and all.
    for target in ["/oauth2/token/../../user", "/?q=oauth2/token/../../user", "/oauth2/token/%2e%2e/x"] {
        assert_denied(&stage.send_raw(&grant_at(target)), 404, "invalid_request");
    }
}
