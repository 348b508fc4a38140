//! `[[policy]]` and `[enforcement]`: who is asked for a second factor, and whether it is done.

use crate::support::{
    Challenge, Response, Stage, StoreKind, TokenRequest, assert_challenge, assert_challenge_head,
    assert_denied, assert_token, on_both_stores,
};

fn describes(answer: &Response) -> String {
    answer.json()["error_description"].as_str().expect("a description").to_owned()
}

/// A stage with alice enrolled, and these rules.
fn stage_with(store: StoreKind, rules: &str) -> (Stage, crate::support::Person) {
    let mut stage = Stage::prepared(store);
    let alice = stage.enrol("alice");
    stage.config.set("policy", rules);
    stage.serve();
    (stage, alice)
}

on_both_stores! {
    fn the_first_rule_that_matches_decides(store: StoreKind) {
        let rules = r#"[
            { name = "never", subjects = ["b*"], then = "refuse" },
            { name = "free", subjects = ["al?ce"], then = "exempt" },
            { name = "late", subjects = ["alice"], then = "refuse" },
        ]"#;
        let (mut stage, alice) = stage_with(store, rules);
        assert_token(&stage.send(&TokenRequest::alice()));
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.wrong_code())));
        assert_denied(&stage.send(&TokenRequest::password("bob", "hunter22")), 400, "invalid_grant");
        // A wrong password says nothing of the rules.
        assert_eq!(stage.send(&TokenRequest::password("bob", "not-it")).status, 401);
        let log = stage.stop_gateway();
        assert!(log.contains("released_by_rule") && log.contains("rule=\"free\""), "{log}");
        assert!(log.contains("refused_by_rule") && log.contains("rule=\"never\""), "{log}");
    }

    fn who_must_have_a_factor_and_has_none_is_told_to_set_one_up(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        stage.config.set("policy", r#"[{ then = "require" }]"#);
        stage.config.set_text("messages.enrolment_wanted", "Set it up at https://site.example/tfa/");
        stage.serve();
        let answer = stage.send(&TokenRequest::alice());
        assert_challenge_head(&answer);
        assert_eq!(describes(&answer), "Set it up at https://site.example/tfa/");
        assert_challenge_head(&stage.send(&TokenRequest::alice().code("123456")));
        let alice = stage.enrol("alice");
        assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
    }

    fn a_grace_period_lets_those_in_who_have_no_factor_yet_until_its_day(store: StoreKind) {
        for (until, status) in [("2999-01-01", 200), ("2020-01-01", 401)] {
            let mut stage = Stage::prepared(store);
            stage.config.set("policy", &format!(r#"[{{ then = "require", grace_until = "{until}" }}]"#));
            stage.serve();
            assert_eq!(stage.send(&TokenRequest::alice()).status, status, "{until}");
            stage.enrol("bob");
            let bob = TokenRequest::password("bob", "hunter22");
            assert_challenge(&stage.send(&bob), Challenge::CodeWanted);
        }
    }

    fn audit_only_lets_everything_out_and_says_what_it_would_have_done(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        let alice = stage.enrol("alice");
        stage.config.set_text("enforcement.mode", "audit-only");
        stage.config.set("policy", r#"[{ name = "no", subjects = ["bob"], then = "refuse" }]"#);
        stage.serve();
        assert_token(&stage.send(&TokenRequest::alice()));
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.wrong_code())));
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
        assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
        assert_eq!(stage.send(&TokenRequest::password("bob", "not-it")).status, 401);
        let log = stage.stop_gateway();
        assert!(log.contains("nothing is enforced"), "{log}");
        for said in ["passcode_wanted", "wrong_passcode", "refused_by_rule"] {
            let line = log.lines().find(|line| line.contains(said)).unwrap_or_else(|| panic!("{said}: {log}"));
            assert!(line.contains("enforced=false"), "{line}");
        }
    }

    fn explain_says_which_rule_decides_and_why(store: StoreKind) {
        let rules = r#"[
            { name = "office", networks = ["10.0.0.0/8"], clients = ["cli"], then = "exempt" },
            { name = "admins", scopes = ["admin"], then = "require" },
        ]"#;
        let (stage, _) = stage_with(store, rules);
        let explain = |arguments: &[&str]| {
            let all = [&["explain", "--subject", "Alice", "--json"], arguments].concat();
            let said = stage.config.run(&all).json();
            (said["rule"].as_str().map(str::to_owned), said["outcome"].as_str().expect("a text").to_owned())
        };
        let (rule, outcome) = explain(&["--ip", "10.1.2.3", "--client", "cli"]);
        assert_eq!((rule.as_deref(), &*outcome), (Some("office"), "the password is enough"));
        // An address that is not known exempts nobody, and scopes that are not known may be those of an admin.
        let (rule, outcome) = explain(&["--client", "cli"]);
        assert_eq!((rule.as_deref(), &*outcome), (Some("admins"), "a code is asked for"));
        let (rule, _) = explain(&["--ip", "11.1.2.3", "--client", "cli", "--scope", "read"]);
        assert_eq!(rule, None);
        let words = stage.config.run(&["explain", "--subject", "alice", "--ip", "11.1.2.3"]).ok();
        for said in ["networks 10.0.0.0/8: no", "clients cli: not known for sure", "'admins' (require) may match"] {
            assert!(words.contains(said), "{said}: {words}");
        }
    }

    fn a_client_that_is_not_known_escapes_no_later_rule_that_is_stricter(store: StoreKind) {
        let soft = r#"{ name = "soft", clients = ["app"], then = "require", grace_until = "2999-01-01" }"#;
        for (then, is_denied) in [("require", false), ("refuse", true)] {
            let mut stage = Stage::prepared(store);
            stage.config.set("policy", &format!(r#"[{soft}, {{ name = "hard", then = "{then}" }}]"#));
            stage.serve();
            // Nobody is enrolled. The client that authenticates itself is another one than the one that is named.
            let answer = stage.send(&TokenRequest::alice().parameter("client_id", "app"));
            if is_denied {
                assert_denied(&answer, 400, "invalid_grant");
            } else {
                assert_challenge_head(&answer);
            }
            let said = stage.config.run(&["explain", "--subject", "alice", "--json"]).json();
            assert_eq!((&said["rule"], &said["may_match"]), (&"hard".into(), &serde_json::json!(["soft"])));
            let words = stage.config.run(&["explain", "--subject", "alice"]).ok();
            assert!(words.contains("'soft' (require) may match") && words.contains("the strictest decides"), "{words}");
            let said = stage.config.run(&["explain", "--subject", "alice", "--client", "app", "--json"]).json();
            assert_eq!((&said["rule"], &said["may_match"]), (&"soft".into(), &serde_json::json!([])));
        }
    }
}

#[test]
fn the_clients_address_is_believed_from_trusted_proxies_only() {
    for (trusted, status) in [(r#"["127.0.0.0/8"]"#, 200), ("[]", 401)] {
        let mut stage = Stage::prepared(StoreKind::Embedded);
        stage.enrol("alice");
        stage.config.set("listen.trusted_proxies", trusted);
        stage.config.set("policy", r#"[{ networks = ["203.0.113.0/24"], then = "exempt" }]"#);
        stage.serve();
        let from = |chain: &str| stage.send(&TokenRequest::alice().header("X-Forwarded-For", chain)).status;
        assert_eq!(from("203.0.113.7"), status, "{trusted}");
        assert_eq!(from("198.51.100.1, 203.0.113.7"), status, "{trusted}");
        // What stands further left is the client's own word.
        assert_eq!(from("203.0.113.7, 198.51.100.1"), 401, "{trusted}");
        assert_eq!(from("203.0.113.7, nonsense"), 401, "{trusted}");
    }
}

#[test]
fn what_a_token_is_granted_counts_and_not_only_what_was_asked_for() {
    // The upstream grants `basic`, whether or not it is asked for.
    for (listed, status) in [("basic", 200), ("read", 401)] {
        let mut stage = Stage::prepared(StoreKind::Embedded);
        stage.enrol("alice");
        stage.config.set("policy", &format!(r#"[{{ scopes = ["{listed}"], then = "exempt" }}]"#));
        stage.serve();
        assert_eq!(stage.send(&TokenRequest::alice()).status, status, "{listed}");
    }
}

#[test]
fn a_client_that_is_named_in_two_ways_is_not_known() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.enrol("alice");
    stage.config.set("policy", r#"[{ clients = ["cli"], then = "exempt" }]"#);
    stage.serve();
    // The client that authenticates itself is another one than the one that is named.
    let answer = stage.send(&TokenRequest::alice().parameter("client_id", "cli"));
    assert_ne!(answer.status, 200, "{answer:?}");
}

#[test]
fn explain_says_that_an_address_that_is_nobodys_alias_is_refused() {
    let stage = Stage::prepared(StoreKind::Embedded);
    stage.enrol("bob");
    let said = stage.config.run(&["explain", "--subject", "alice@example.org"]).ok();
    assert!(said.contains("refused: it is an address, and nobody's alias"), "{said}");
    stage.config.run(&["alias", "alice@example.org", "bob"]).ok();
    let said = stage.config.run(&["explain", "--subject", "alice@example.org"]).ok();
    assert!(said.contains("a code is asked for"), "{said}");
}
