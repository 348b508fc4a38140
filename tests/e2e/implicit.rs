//! The implicit grant with a user name and a password in the query.

use crate::support::{Response, Stage, StoreKind, assert_challenge_head, assert_denied, on_both_stores};

const LOGIN: &str = "response_type=token&client_id=cli&username=alice&password=passw0rd&state=xyz";

fn gated(store: StoreKind, source: &str) -> (Stage, crate::support::Person) {
    let mut stage = Stage::prepared(store);
    stage.config.set_text("grants.implicit_path", "/oauth2/authorize");
    stage.config.set_text("identity.source", source);
    let alice = stage.enrol("alice");
    stage.serve();
    (stage, alice)
}

fn ask(stage: &Stage, target: &str, fields: &str) -> Response {
    stage.send_raw(format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\n{fields}\r\n").as_bytes())
}

fn assert_token_in_fragment(answer: &Response) {
    assert_eq!(answer.status, 302, "{answer:?}");
    let target = answer.header("location").expect("a target");
    assert!(target.starts_with("https://app.test/cb#access_token="), "{answer:?}");
}

on_both_stores! {
    fn it_is_challenged_and_released_like_a_password_grant(store: StoreKind) {
        for source in ["username", "token-info"] {
            let (stage, alice) = gated(store, source);
            let target = format!("/oauth2/authorize?{LOGIN}");
            let challenged = ask(&stage, &target, "");
            assert_challenge_head(&challenged);
            assert_eq!(challenged.json()["state"], "xyz");
            assert!(!challenged.text().contains("access_token"));
            assert_challenge_head(&ask(&stage, &target, &format!("X-Drupal-TFA: {}\r\n", alice.wrong_code())));
            let code = format!("X-Drupal-TFA: {}\r\n", alice.code());
            assert_token_in_fragment(&ask(&stage, &target, &code));
            let used = ask(&stage, &target, &code);
            assert!(used.text().contains("recently used"), "{used:?}");
            assert_token_in_fragment(&ask(&stage, &target.replace("alice&password=passw0rd", "bob&password=hunter22"), ""));
        }
    }
}

#[test]
fn it_reaches_the_upstream_as_it_was_meant_and_a_refusal_comes_back_without_a_session() {
    let (stage, _) = gated(StoreKind::Embedded, "username");
    let target = "/oauth2/authorize?response_type=token&client_id=cli&username=%61lice&password=%20p%26%3D%2B&x=%C3%BC";
    let (answer, received) =
        stage.upstream.received_during(|| ask(&stage, target, "Cookie: a=b\r\nX-Drupal-TFA: 123456\r\n"));
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location"), Some("https://app.test/cb#error=access_denied&state="));
    assert_eq!(answer.header("set-cookie"), None);
    let [received] = received.as_slice() else { panic!("not once: {received:?}") };
    assert_eq!(received.method(), "GET");
    assert_eq!(
        received.target(),
        "/oauth2/authorize?response_type=token&client_id=cli&username=alice&password=+p%26%3D%2B&x=%C3%BC"
    );
    assert_eq!((received.header("cookie"), received.header("x-drupal-tfa")), (None, None));
}

#[test]
fn a_password_in_the_query_is_taken_nowhere_else_and_for_nothing_else() {
    let (stage, alice) = gated(StoreKind::Embedded, "username");
    let code = format!("X-Drupal-TFA: {}\r\n", alice.code());
    for (target, error) in [
        (format!("/oauth/authorize?{LOGIN}"), "unsupported_response_type"),
        (format!("/OAuth2/authorize?{LOGIN}"), "unsupported_response_type"),
        (format!("/oauth2/authorize/?{LOGIN}"), "unsupported_response_type"),
        (format!("/?q=oauth2/authorize&{LOGIN}"), "unsupported_response_type"),
        (format!("/oauth2/authorize?{}", LOGIN.replace("=token", "=code")), "invalid_request"),
        (format!("/oauth2/authorize?{}", LOGIN.replace("=token", "=code+token")), "invalid_request"),
        (format!("/oauth2/authorize?{LOGIN}&username=bob"), "invalid_request"),
        (format!("/oauth2/authorize?{LOGIN}&user.name=bob"), "invalid_request"),
        (format!("/oauth2/authorize?{}", LOGIN.replace("username", "%75ser.name")), "invalid_request"),
    ] {
        let (answer, received) = stage.upstream.received_during(|| ask(&stage, &target, &code));
        assert_denied(&answer, 400, error);
        assert!(received.is_empty(), "{target}: {received:?}");
    }
    let post =
        format!("POST /oauth2/authorize?{LOGIN} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    assert_denied(&stage.send_raw(post.as_bytes()), 400, "unsupported_response_type");
}

#[test]
fn without_the_setting_it_is_refused_and_an_ordinary_authorization_request_passes() {
    let (stage, alice) = Stage::with_alice(StoreKind::Embedded);
    let code = format!("X-Drupal-TFA: {}\r\n", alice.code());
    assert_denied(
        &ask(&stage, &format!("/oauth2/authorize?{LOGIN}"), &code),
        400,
        "unsupported_response_type",
    );
    let ordinary =
        "/oauth2/authorize?response_type=token&client_id=cli&redirect_uri=https%3A%2F%2Fapp.test%2Fcb";
    assert_eq!(ask(&stage, ordinary, "").status, 200);
}

/// The tripwire, where the grant itself was not seen.
#[test]
fn a_token_that_a_form_gets_from_the_authorization_endpoint_is_stopped() {
    let (stage, _) = Stage::with_alice(StoreKind::Embedded);
    // The fixture takes what it calls the query from a form as well.
    let target = "/oauth2/authorize?username=alice&password=passw0rd&client_id=cli";
    let answer = ask(&stage, target, "");
    assert_denied(&answer, 502, "server_error");
}
