//! The gateway's own answers, row by row as the protocol's table has them, to the byte.

use crate::support::{
    Challenge, Stage, StoreKind, TokenRequest, assert_challenge, assert_challenge_head, assert_denied,
    assert_token, on_both_stores,
};

on_both_stores! {
    fn a_grant_without_a_code_is_challenged(store: StoreKind) {
        let (stage, _) = Stage::with_alice(store);
        assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
        assert_challenge(&stage.send(&TokenRequest::alice().in_json()), Challenge::CodeWanted);
    }

    fn a_wrong_code_is_challenged_again(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let [one, other] = <[String; 2]>::try_from(alice.wrong_codes(2)).expect("two");
        assert_challenge(&stage.send(&TokenRequest::alice().code(&one)), Challenge::WrongCode);
        assert_challenge(&stage.send(&TokenRequest::alice().in_json().code(&other)), Challenge::WrongCode);
    }

    fn an_empty_code_is_a_wrong_code(store: StoreKind) {
        let (stage, _) = Stage::with_alice(store);
        assert_challenge(&stage.send(&TokenRequest::alice().code("")), Challenge::WrongCode);
    }

    fn a_correct_code_releases_the_upstreams_answer_as_it_is(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let answer = stage.send(&TokenRequest::alice().code(&alice.code()));
        let token = assert_token(&answer);
        assert_eq!(token.len(), 40);
        assert_eq!(answer.header("set-cookie"), Some("SESS=upstream-session; path=/; HttpOnly"));
        assert_eq!(answer.header("x-upstream-marker"), Some("from-upstream"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-drupal-tfa"), None);
        let json = TokenRequest::alice().in_json().code(&alice.next_code());
        assert_token(&stage.send(&json));
    }

    fn a_used_code_is_refused(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let request = TokenRequest::alice().code(&alice.code());
        assert_token(&stage.send(&request));
        assert_challenge(&stage.send(&request), Challenge::UsedCode);
    }

    fn too_many_failures_lock_whatever_the_code(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        for code in alice.wrong_codes(5) {
            assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::WrongCode);
        }
        let correct = stage.send(&TokenRequest::alice().code(&alice.code()));
        assert_challenge(&correct, Challenge::LockedForMinutes(15));
        let wrong = stage.send(&TokenRequest::alice().code(&alice.wrong_code()));
        assert_challenge(&wrong, Challenge::LockedForMinutes(15));
    }

    fn someone_without_a_factor_gets_the_upstreams_answer_as_it_is(store: StoreKind) {
        let (stage, _) = Stage::with_alice(store);
        let bob = TokenRequest::password("bob", "hunter22");
        let answer = stage.send(&bob);
        assert_token(&answer);
        assert_eq!(answer.header("x-upstream-marker"), Some("from-upstream"));
        assert_token(&stage.send(&bob.in_json().code("123456")));
    }
}

#[test]
fn state_comes_back_as_the_third_member_of_a_challenge_and_of_nothing_else() {
    let (stage, alice) = Stage::with_alice(StoreKind::Embedded);
    let with_state = r#"{"error":"invalid_grant","error_description":"Two-factor authentication is required","state":"a \"b\" ü"}"#;
    for request in [
        TokenRequest::alice().parameter("state", "a \"b\" ü"),
        TokenRequest::alice().parameter("state", "a \"b\" ü").in_json(),
        TokenRequest::alice().query("state=a%20%22b%22+%C3%BC"),
    ] {
        let answer = stage.send(&request);
        assert_eq!(answer.text(), with_state);
        assert_challenge_head(&answer);
    }
    let wrong = stage.send(&TokenRequest::alice().parameter("state", "xyz").code(&alice.wrong_code()));
    assert_eq!(wrong.json()["state"], "xyz");

    let refused = TokenRequest::password("alice", "not-it").parameter("state", "xyz");
    assert_eq!(stage.send(&refused).text(), stage.send_directly(&refused).text());
    let ambiguous = stage.send(&TokenRequest::alice().parameter("state", "xyz").parameter("username", "bob"));
    assert_eq!(ambiguous.status, 400);
    assert_eq!(ambiguous.json().get("state"), None);
}

#[test]
fn an_ambiguous_or_incomplete_request_is_refused_by_name_and_never_forwarded() {
    let (stage, alice) = Stage::with_alice(StoreKind::Embedded);
    let twice = |name: &str| TokenRequest::alice().parameter(name, "x");
    let cases = [
        ("username", twice("username")),
        ("grant_type", twice("grant_type")),
        ("password", twice("password")),
        ("username", TokenRequest::alice().query("username=bob")),
        ("grant_type", TokenRequest::alice().query("grant_type=refresh_token")),
        (
            "username",
            TokenRequest::grant(&[("grant_type", "password"), ("username[]", "alice"), ("password", "x")]),
        ),
        ("password", TokenRequest::grant(&[("grant_type", "password"), ("username", "alice")])),
        ("username", TokenRequest::grant(&[("grant_type", "password"), ("password", "passw0rd")])),
        ("grant_type", TokenRequest::grant(&[("username", "alice"), ("password", "passw0rd")])),
        ("grant.type", TokenRequest::alice().parameter("grant.type", "password")),
    ];
    for (named, request) in cases {
        let request = request.code(&alice.code());
        let (answer, received) = stage.upstream.received_during(|| stage.send(&request));
        assert_denied(&answer, 400, "invalid_request");
        let description = answer.json()["error_description"].as_str().expect("a description").to_owned();
        assert!(description.contains(named), "{description:?} does not name {named}");
        assert!(received.is_empty(), "forwarded: {received:?}");
    }
}

#[test]
fn a_malformed_body_is_refused_and_never_forwarded() {
    let (stage, _) = Stage::with_alice(StoreKind::Embedded);
    for (media_type, body) in [
        ("application/json", r#"{"grant_type":"password","#),
        ("application/json", r#"["grant_type","password"]"#),
        ("application/json", r#"{"grant_type":"password","username":["alice"],"password":"passw0rd"}"#),
        (
            "application/json",
            r#"{"grant_type":"password","username":"bob","username":"alice","password":"passw0rd"}"#,
        ),
        ("application/x-www-form-urlencoded", "grant_type=password&username=%ff&password=passw0rd"),
        ("text/plain", "grant_type=password&username=alice&password=passw0rd"),
    ] {
        let request = format!(
            "POST /oauth2/token HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Basic dGVzdGNsaWVudDp0ZXN0cGFzcw==\r\n\
             Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (answer, received) = stage.upstream.received_during(|| stage.send_raw(request.as_bytes()));
        assert_denied(&answer, 400, "invalid_request");
        assert!(answer.json()["error_description"].is_string(), "{answer:?}");
        assert!(received.is_empty(), "forwarded: {received:?}");
    }
}

#[test]
fn the_messages_of_the_configuration_are_what_people_are_told() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let alice = stage.enrol("alice");
    stage.config.set("lockout.failures_max", "1");
    stage.config.set("lockout.lock_secs", "120");
    for (key, text) in [
        ("messages.required", "Bitte den Code eingeben"),
        ("messages.wrong", "Falscher Code"),
        ("messages.locked", "Gesperrt für {minutes} Minuten"),
    ] {
        stage.config.set_text(key, text);
    }
    stage.serve();
    let told = |request: &TokenRequest| stage.send(request).json()["error_description"].clone();
    assert_eq!(told(&TokenRequest::alice()), "Bitte den Code eingeben");
    assert_eq!(told(&TokenRequest::alice().code(&alice.wrong_code())), "Falscher Code");
    assert_eq!(told(&TokenRequest::alice().code(&alice.code())), "Gesperrt für 2 Minuten");
}
