//! Refresh tokens from before their subject enrolled (`[grants] refresh = "enrolled-after"`).

use crate::support::{Response, Stage, StoreKind, TokenRequest, assert_denied, assert_token, on_both_stores};

fn prepared(store: StoreKind, source: &str) -> Stage {
    let mut stage = Stage::prepared_with_movable_clock(store);
    stage.config.set_text("grants.refresh", "enrolled-after");
    stage.config.set_text("identity.source", source);
    stage.config.set("grants.remember_refresh_secs", "3600");
    stage
}

fn serving(store: StoreKind, source: &str) -> Stage {
    let mut stage = prepared(store, source);
    stage.serve();
    stage
}

fn refresh_token(answer: &Response) -> String {
    assert_token(answer);
    answer.json()["refresh_token"].as_str().expect("a refresh token").to_owned()
}

fn refreshed(stage: &Stage, token: &str) -> Response {
    stage.send(&TokenRequest::grant(&[("grant_type", "refresh_token"), ("refresh_token", token)]))
}

fn assert_from_before(answer: &Response) {
    assert_denied(answer, 400, "invalid_grant");
    assert!(answer.text().contains("before two-factor authentication"), "{answer:?}");
}

on_both_stores! {
    fn a_refresh_token_from_before_its_subject_enrolled_is_refused(store: StoreKind) {
        for source in ["username", "token-info"] {
            let stage = serving(store, source);
            let from_before = refresh_token(&stage.send(&TokenRequest::alice()));
            assert_token(&refreshed(&stage, &from_before));
            stage.clock.advance(60);
            let alice = stage.enrol("alice");
            assert_from_before(&refreshed(&stage, &from_before));

            let from_after = refresh_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
            assert_token(&refreshed(&stage, &from_after));
            assert_token(&refreshed(&stage, &from_after));
            // Whoever enrols anew logs in anew.
            stage.config.run(&["disable", "alice"]).ok();
            assert_token(&refreshed(&stage, &from_after));
            stage.clock.advance(60);
            stage.enrol("alice");
            assert_from_before(&refreshed(&stage, &from_after));
        }
    }

    fn what_a_password_alone_got_in_the_second_of_the_enrolment_ends_with_it(store: StoreKind) {
        let stage = serving(store, "username");
        let tokens: Vec<_> = (0..5).map(|_| refresh_token(&stage.send(&TokenRequest::alice()))).collect();
        stage.enrol("alice");
        for token in &tokens {
            assert_from_before(&refreshed(&stage, token));
        }
    }

    fn a_refresh_token_of_which_nothing_is_known_needs_a_server_that_says_whose_it_is(store: StoreKind) {
        for (source, is_told) in [("username", false), ("token-info", true)] {
            let stage = serving(store, source);
            let token = |request: &TokenRequest| refresh_token(&stage.send_directly(request));
            let (alices, bobs) = (token(&TokenRequest::alice()), token(&TokenRequest::password("bob", "hunter22")));
            stage.enrol("alice");
            assert_from_before(&refreshed(&stage, &alices));
            let bob = refreshed(&stage, &bobs);
            if is_told {
                assert_token(&bob);
            } else {
                assert_from_before(&bob);
            }
            assert_eq!(refreshed(&stage, "none-such").status, 400);
        }
    }

    fn what_is_remembered_is_forgotten_in_time_and_holds_no_token(store: StoreKind) {
        let mut stage = prepared(store, "username");
        stage.serve();
        let token = refresh_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
        stage.clock.advance(3000);
        assert_token(&refreshed(&stage, &token)); // remembered anew
        stage.clock.advance(3000);
        assert_token(&refreshed(&stage, &token));
        stage.clock.advance(3700);
        assert_from_before(&refreshed(&stage, &token));
        if let Some(redis) = &stage.redis {
            let keys = redis.cli(&["--scan"]);
            assert!(!keys.contains(&token), "{keys}");
        } else {
            stage.stop_gateway();
            let file = std::fs::read(stage.config.dir().join("gateway.db")).expect("the store");
            assert!(!file.windows(token.len()).any(|window| window == token.as_bytes()));
        }
    }

    fn a_code_that_a_browser_brought_begins_a_line_of_refresh_tokens_too(store: StoreKind) {
        // The fixture's codes are nobody's, so that the token info names nobody either.
        let stage = serving(store, "token-info");
        let code = TokenRequest::grant(&[("grant_type", "authorization_code"), ("code", "abc")]);
        let token = refresh_token(&stage.send(&code));
        assert_denied(&refreshed(&stage, &token), 503, "temporarily_unavailable");
    }
}

#[test]
fn a_store_that_does_not_answer_refreshes_nothing() {
    let mut stage = prepared(StoreKind::Redis, "username");
    stage.config.set("store.timeout_ms", "500");
    stage.serve();
    let token = refresh_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
    stage.redis().kill();
    assert_denied(&refreshed(&stage, &token), 503, "temporarily_unavailable");
}
