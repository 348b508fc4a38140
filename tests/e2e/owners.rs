//! Whose token it is, when people log in by other names than they enrolled under.

use data_encoding::BASE64URL_NOPAD;

use crate::support::{
    Challenge, Kind, Person, Response, Stage, StoreKind, TokenRequest, assert_challenge, assert_denied,
    assert_token, on_both_stores, scratch,
};

const ALICES_ADDRESS: &str = "alice@example.com";

fn by_address() -> TokenRequest {
    TokenRequest::password(ALICES_ADDRESS, "passw0rd")
}

/// Alice enrolled, and subjects found where `settings` say.
fn with_source(store: StoreKind, kind: Kind, settings: &[(&str, &str)]) -> (Stage, Person) {
    let mut stage = match kind {
        Kind::Php => Stage::prepared(store),
        shared => Stage::prepared_in_front_of(shared, store),
    };
    for (key, value) in settings {
        stage.config.set_text(&format!("identity.{key}"), value);
    }
    let alice = stage.enrol("alice");
    stage.serve();
    (stage, alice)
}

/// A challenge without a code, a token with one, and a refusal that is the upstream's own.
fn assert_gated(stage: &Stage, request: &TokenRequest, code: &str) -> Response {
    assert_challenge(&stage.send(request), Challenge::CodeWanted);
    let answer = stage.send(&request.clone().code(code));
    assert_token(&answer);
    assert_challenge(&stage.send(&request.clone().code(code)), Challenge::UsedCode);
    answer
}

on_both_stores! {
    fn drupals_token_info_says_whose_a_token_is(store: StoreKind) {
        let (stage, alice) = with_source(store, Kind::Php, &[("source", "token-info")]);
        assert_gated(&stage, &by_address(), &alice.code());
        assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
        assert_token(&stage.send(&TokenRequest::password("bob@example.com", "hunter22")));
        let refused = stage.send(&TokenRequest::password(ALICES_ADDRESS, "not-it"));
        assert_eq!((refused.status, refused.header("x-drupal-tfa")), (401, None));
    }

    fn an_alias_leads_to_its_subject(store: StoreKind) {
        let (stage, alice) = with_source(store, Kind::Php, &[]);
        let made = stage.config.run(&["alias", "Alice@Example.com", "ALICE", "--json"]).json();
        assert_eq!(made, serde_json::json!({"alias": ALICES_ADDRESS, "subject": "alice"}));
        assert_gated(&stage, &by_address(), &alice.code());
        // One ledger for both names.
        for code in alice.wrong_codes(5) {
            stage.send(&by_address().code(&code));
        }
        assert_challenge(&stage.send(&TokenRequest::alice().code("000000")), Challenge::LockedForMinutes(15));

        assert!(stage.config.run(&["status", ALICES_ADDRESS]).ok().contains("alias of alice"));
        stage.config.run(&["enrol", ALICES_ADDRESS]).refused();
        stage.config.run(&["disable", ALICES_ADDRESS]).refused();
        stage.config.run(&["alias", "alice", "bob"]).refused();
        stage.config.run(&["alias", "other@example.com", ALICES_ADDRESS]).refused();
        stage.config.run(&["alias", "alice", "ALICE"]).refused();
        // A mistyped subject would be nobody, of whom no code is asked.
        let said = stage.config.run(&["alias", "bob@example.com", "bbo"]).refused();
        assert!(said.contains("bbo has no factor") && said.contains("--not-enrolled"), "{said}");
        assert_denied(&stage.send(&TokenRequest::password("bob@example.com", "hunter22")), 400, "invalid_grant");
        stage.config.run(&["alias", "bob@example.com", "bob", "--not-enrolled"]).ok();
        let enrolled = || stage.config.run(&["status", "bob@example.com", "--json"]).json()["enrolled"].clone();
        let words = stage.config.run(&["status", "bob@example.com"]).ok();
        assert!(words.contains("alias of bob, which is not enrolled"), "{words}");
        assert_eq!(enrolled(), false);
        let listed = stage.config.run(&["list", "--search", "bob@"]).ok();
        assert_eq!(listed, "bob@example.com\talias of bob, which is not enrolled\n");
        stage.enrol("bob");
        assert_eq!(enrolled(), true);
        let removed = stage.config.run(&["alias", "--remove", ALICES_ADDRESS, "--json"]).json();
        assert_eq!(removed["removed"], true);
        assert_denied(&stage.send(&by_address()), 400, "invalid_grant");
    }

    fn an_address_that_is_nobodys_alias_gets_no_token(store: StoreKind) {
        let (stage, _) = with_source(store, Kind::Php, &[]);
        for typed in [ALICES_ADDRESS, " ALICE@example.com", "alice\u{FF20}example.com", "alice\u{FE6B}example.com"] {
            let answer = stage.send(&TokenRequest::password(typed, "passw0rd"));
            assert!(!answer.text().contains("access_token"), "{typed}: {answer:?}");
        }
        let denied = stage.send(&by_address());
        assert_denied(&denied, 400, "invalid_grant");
        assert!(denied.text().contains("user name"), "{denied:?}");
        // Whoever does not know the password learns nothing.
        let wrong = TokenRequest::password(ALICES_ADDRESS, "not-it");
        assert_eq!(stage.send(&wrong).text(), stage.send_directly(&wrong).text());
    }

    fn addresses_may_be_user_names(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        stage.config.set_text("identity.addresses", "names");
        let tagged = stage.enrol("alice+tag@example.com");
        stage.serve();
        assert_token(&stage.send(&TokenRequest::password("bob@example.com", "hunter22")));
        assert_gated(&stage, &TokenRequest::password("alice+tag@example.com", "secret"), &tagged.code());
    }

    fn an_address_may_be_enrolled_itself(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        let tagged = stage.enrol("alice+tag@example.com");
        stage.serve();
        assert_gated(&stage, &TokenRequest::password("alice+tag@example.com", "secret"), &tagged.code());
    }

    fn a_lookup_that_does_not_tell_is_a_503_for_everyone(store: StoreKind) {
        // The fixture answers any other path with 200, and names nobody.
        let (stage, alice) =
            with_source(store, Kind::Php, &[("source", "token-info"), ("url", "/who/{token}")]);
        for request in [TokenRequest::alice(), TokenRequest::password("bob", "hunter22")] {
            let answer = stage.send(&request.code(&alice.code()));
            assert_denied(&answer, 503, "temporarily_unavailable");
            assert!(answer.header("retry-after").is_some());
        }
    }
}

#[test]
fn a_lookup_that_nobody_answers_is_a_503() {
    let (stage, alice) = with_source(
        StoreKind::Embedded,
        Kind::Php,
        &[("source", "introspection"), ("url", "http://127.0.0.1:9/introspect")],
    );
    for request in [TokenRequest::alice().code(&alice.code()), TokenRequest::password("bob", "hunter22")] {
        assert_denied(&stage.send(&request), 503, "temporarily_unavailable");
    }
    assert_eq!(stage.send(&TokenRequest::password("alice", "not-it")).status, 401);
}

#[test]
fn a_claim_of_the_token_that_is_not_there_is_a_503() {
    // The fixture's tokens are no JWTs, and its answers name no user.
    for settings in [&[("source", "jwt")][..], &[("source", "response"), ("pointer", "/user")]] {
        let (stage, alice) = with_source(StoreKind::Embedded, Kind::Php, settings);
        let answer = stage.send(&TokenRequest::alice().code(&alice.code()));
        assert_denied(&answer, 503, "temporarily_unavailable");
    }
}

#[test]
fn glewlwyd_says_whose_a_token_is_when_it_is_introspected() {
    let secret = scratch();
    let file = secret.path().join("secret");
    std::fs::write(&file, "testpass\n").expect("written");
    let settings = [
        ("source", "introspection"),
        ("pointer", "/username"),
        ("client_id", "testclient"),
        ("client_secret_file", file.to_str().expect("UTF-8")),
    ];
    let (stage, alice) = with_source(StoreKind::Embedded, Kind::Glewlwyd, &settings);
    assert_gated(&stage, &TokenRequest::alice(), &alice.code());
}

/// Glewlwyd's signed tokens name a person by an identifier of its own.
#[test]
fn the_claims_of_glewlwyds_tokens_say_whose_they_are() {
    let mut stage = Stage::prepared_in_front_of(Kind::Glewlwyd, StoreKind::Redis);
    stage.config.set_text("identity.source", "jwt");
    let token = assert_token(&stage.send_directly(&TokenRequest::alice()));
    let claims = token.split('.').nth(1).expect("a signed token");
    let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    let alice = stage.enrol(claims["sub"].as_str().expect("a subject"));
    stage.serve();
    assert_gated(&stage, &TokenRequest::alice(), &alice.code());
}

#[test]
fn doorkeeper_says_whose_a_token_is_by_its_user_info() {
    let (stage, alice) = with_source(StoreKind::Embedded, Kind::Doorkeeper, &[("source", "userinfo")]);
    let request = TokenRequest::grant(&[
        ("grant_type", "password"),
        ("username", "alice"),
        ("password", "passw0rd"),
        ("scope", "openid basic"),
    ]);
    assert_gated(&stage, &request, &alice.code());
    // Without the scope the user info is refused, and so is the token.
    assert_denied(&stage.send(&TokenRequest::alice()), 503, "temporarily_unavailable");
}
