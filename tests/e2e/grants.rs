//! What the gateway has no say in: the upstream's refusals, other grants, other routes.

use crate::support::{
    Challenge, Kind, Stage, StoreKind, TokenRequest, assert_challenge, assert_denied, assert_relayed,
    assert_token, get, has_token, on_both_stores,
};

fn refused_requests() -> Vec<TokenRequest> {
    let grant = TokenRequest::grant;
    vec![
        TokenRequest::password("alice", "not-it"),
        TokenRequest::password("alice", "not-it").in_json(),
        TokenRequest::password("bob", "not-it"),
        TokenRequest::password("nobody", "not-it"),
        TokenRequest::password("alice", "not-it").code("123456"),
        grant(&[("grant_type", "refresh_token"), ("refresh_token", "none-such")]),
        grant(&[("grant_type", "authorization_code"), ("code", "none-such")]),
        TokenRequest::password("alice", "not-it").without_client(),
        TokenRequest::password("alice", "passw0rd")
            .without_client()
            .parameter("client_id", "testclient")
            .parameter("client_secret", "not-it"),
        TokenRequest::password("alice", "passw0rd")
            .without_client()
            .header("Authorization", "Basic bm9ib2R5Om5vdC1pdA=="),
    ]
}

fn assert_refusals_unchanged(stage: &Stage) {
    let mut compared = 0;
    for request in refused_requests() {
        let direct = stage.send_directly(&request);
        if has_token(&direct) {
            continue; // glewlwyd takes some of these for good
        }
        assert_relayed(&stage.send(&request), &direct);
        compared += 1;
    }
    assert!(compared >= 6, "only {compared} requests were refused");
}

#[test]
fn the_refusals_of_php_come_back_unchanged() {
    let (stage, _) = Stage::with_alice(StoreKind::Embedded);
    assert_refusals_unchanged(&stage);
}

#[test]
fn the_refusals_of_glewlwyd_come_back_unchanged() {
    let mut stage = Stage::prepared_in_front_of(Kind::Glewlwyd, StoreKind::Redis);
    stage.enrol("alice");
    stage.serve();
    assert_refusals_unchanged(&stage);
}

#[test]
fn the_refusals_of_doorkeeper_come_back_unchanged() {
    let mut stage = Stage::prepared_in_front_of(Kind::Doorkeeper, StoreKind::Embedded);
    stage.enrol("alice");
    stage.serve();
    assert_refusals_unchanged(&stage);
}

#[test]
fn the_refusals_of_lemonldap_come_back_unchanged() {
    let mut stage = Stage::prepared_in_front_of(Kind::Lemonldap, StoreKind::Embedded);
    stage.enrol("alice");
    stage.serve();
    assert_refusals_unchanged(&stage);
}

on_both_stores! {
    fn other_grants_pass(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let client_credentials = TokenRequest::grant(&[("grant_type", "client_credentials")]);
        assert_token(&stage.send(&client_credentials));
        let code = TokenRequest::grant(&[("grant_type", "authorization_code"), ("code", "abc")]);
        assert_token(&stage.send(&code));
        let extension = TokenRequest::grant(&[("grant_type", "api_token"), ("api_token", "x")]);
        assert_token(&stage.send(&extension));

        // Who logged in with a second factor stays logged in without another one.
        let login = stage.send(&TokenRequest::alice().code(&alice.code()));
        let refresh_token = login.json()["refresh_token"].as_str().expect("a refresh token").to_owned();
        let refresh = TokenRequest::grant(&[("grant_type", "refresh_token"), ("refresh_token", &refresh_token)]);
        let token = assert_token(&stage.send(&refresh));
        let info = stage.send_raw(&get(&format!("/oauth2/tokens/{token}")));
        assert_eq!(info.json()["user_id"], "alice");
    }

    fn a_grant_is_sent_upstream_once_and_as_it_was_meant(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let plain = TokenRequest::password("alice", " p&=+%ä ").parameter("x", "ü +&=");
        for request in [plain.clone(), plain.clone().in_json(), plain.code(&alice.code())] {
            let (_, received) = stage.upstream.received_during(|| stage.send(&request));
            let [received] = received.as_slice() else { panic!("not once: {received:?}") };
            assert_eq!(received.method(), "POST");
            assert_eq!(received.target(), "/oauth2/token");
            assert_eq!(received.parameter("grant_type"), Some("password"));
            assert_eq!(received.parameter("username"), Some("alice"));
            assert_eq!(received.parameter("password"), Some(" p&=+%ä "));
            assert_eq!(received.parameter("x"), Some("ü +&="));
            assert_eq!(received.header("authorization"), Some("Basic dGVzdGNsaWVudDp0ZXN0cGFzcw=="));
        }
    }
}

#[test]
fn the_token_endpoint_takes_no_other_method() {
    let (stage, _) = Stage::with_alice(StoreKind::Embedded);
    let query =
        "grant_type=password&username=alice&password=passw0rd&client_id=testclient&client_secret=testpass";
    let (answer, received) =
        stage.upstream.received_during(|| stage.send_raw(&get(&format!("/oauth2/token?{query}"))));
    assert_denied(&answer, 405, "invalid_request");
    assert_eq!(answer.header("allow"), Some("POST"));
    assert!(received.is_empty(), "forwarded: {received:?}");
}

#[test]
fn a_grant_that_the_configuration_refuses_is_never_forwarded() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.set("grants.passed", "[\"authorization_code\"]");
    stage.serve();
    let refused = TokenRequest::grant(&[("grant_type", "client_credentials")]);
    let (answer, received) = stage.upstream.received_during(|| stage.send(&refused));
    assert_denied(&answer, 400, "unsupported_grant_type");
    assert_eq!(answer.header("x-drupal-tfa"), None);
    assert!(received.is_empty(), "{received:?}");
    assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
}

#[test]
fn a_grant_that_nobody_listed_is_never_forwarded() {
    let (stage, _) = Stage::with_alice(StoreKind::Embedded);
    for grant_type in ["none_such", "urn:ietf:params:oauth:grant-type:jwt-bearer", "implicit", "token"] {
        let request = TokenRequest::grant(&[("grant_type", grant_type), ("assertion", "x")]);
        let (answer, received) = stage.upstream.received_during(|| stage.send(&request));
        assert_denied(&answer, 400, "unsupported_grant_type");
        assert!(received.is_empty(), "{received:?}");
    }
}

on_both_stores! {
    fn a_grant_that_a_site_lists_is_gated_by_its_user_name(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        stage.config.set("grants.gated", "[\"password\", \"api_token\"]");
        stage.config.set("grants.passed", "[]");
        let alice = stage.enrol("alice");
        stage.serve();
        let request =
            TokenRequest::grant(&[("grant_type", "api_token"), ("api_token", "x"), ("username", "alice")]);
        assert_challenge(&stage.send(&request), Challenge::CodeWanted);
        assert_token(&stage.send(&request.code(&alice.code())));
        let nobodys = TokenRequest::grant(&[("grant_type", "api_token"), ("api_token", "x")]);
        assert_denied(&stage.send(&nobodys), 400, "invalid_request");
    }
}
