//! What counts as the right passcode.

use crate::support::{
    Challenge, Passcodes, Stage, StoreKind, TokenRequest, assert_challenge, assert_token, on_both_stores,
};

on_both_stores! {
    fn white_space_in_a_code_is_ignored(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let code = alice.code();
        let spaced = format!("{} \t{}", &code[..3], &code[3..]);
        assert_token(&stage.send(&TokenRequest::alice().code(&spaced)));
    }

    fn two_code_headers_are_a_wrong_code(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let code = alice.code();
        let twice = TokenRequest::alice().code(&code).code(&code);
        assert_challenge(&stage.send(&twice), Challenge::WrongCode);
        // Neither of them was spent.
        assert_token(&stage.send(&TokenRequest::alice().code(&code)));
    }

    fn an_earlier_code_than_the_last_accepted_one_is_used_up(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let (earlier, later) = (alice.code(), alice.next_code());
        assert_token(&stage.send(&TokenRequest::alice().code(&later)));
        assert_challenge(&stage.send(&TokenRequest::alice().code(&earlier)), Challenge::UsedCode);
    }

    fn each_of_several_factors_opens(store: StoreKind) {
        let (stage, phone) = Stage::with_alice(store);
        let tablet = stage.enrol("alice");
        assert_ne!(phone.factor_id, tablet.factor_id);
        assert_ne!(phone.secret, tablet.secret);
        for factor in [&phone, &tablet] {
            assert_token(&stage.send(&TokenRequest::alice().code(&factor.code())));
        }
        // Each has used steps of its own.
        for factor in [&phone, &tablet] {
            let replayed = stage.send(&TokenRequest::alice().code(&factor.code()));
            assert_challenge(&replayed, Challenge::UsedCode);
        }
    }

    fn a_code_is_good_for_the_step_before_and_after_and_no_further(store: StoreKind) {
        let mut stage = Stage::prepared_with_movable_clock(store);
        let alice = stage.enrol("alice");
        stage.serve();
        stage.clock.advance(30 - stage.clock.now() % 30); // to the start of a step
        for steps in [-2, 2] {
            let code = alice.passcodes.steps_after(stage.clock.now(), steps);
            assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::WrongCode);
        }
        let code = alice.code();
        stage.clock.advance(30);
        assert_token(&stage.send(&TokenRequest::alice().code(&code)));
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.next_code())));
    }

    fn a_secret_of_the_users_own_authenticator_is_taken(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
        let enrolled = stage.config.run(&["enrol", "alice", "--secret", secret, "--json"]).json();
        assert_eq!(enrolled["secret"], secret);
        stage.serve();
        let code = Passcodes::of(secret).at(stage.clock.now());
        assert_token(&stage.send(&TokenRequest::alice().code(&code)));
    }

    fn parameters_are_kept_with_the_factor(store: StoreKind) {
        for (algorithm, digits, period_secs) in [("sha256", 8, 60), ("sha512", 7, 15)] {
            let mut stage = Stage::prepared(store);
            stage.config.set_text("factor.totp.algorithm", &algorithm.to_uppercase());
            stage.config.set("factor.totp.digits", &digits.to_string());
            stage.config.set("factor.totp.period_secs", &period_secs.to_string());
            let enrolled = stage.config.run(&["enrol", "alice", "--json"]).json();
            let secret = enrolled["secret"].as_str().expect("a secret");
            let uri = enrolled["otpauth_uri"].as_str().expect("a URI");
            assert!(uri.contains(&format!("digits={digits}")), "{uri}");
            assert!(uri.contains(&format!("period={period_secs}")), "{uri}");
            assert!(uri.to_lowercase().contains(&format!("algorithm={algorithm}")), "{uri}");
            // Whatever new ones get, this one stays as it is.
            for (key, value) in [("digits", "6"), ("period_secs", "30"), ("algorithm", "\"SHA1\"")] {
                stage.config.set(&format!("factor.totp.{key}"), value);
            }
            stage.serve();
            let codes = Passcodes::of(secret).with(algorithm, digits, period_secs);
            assert_token(&stage.send(&TokenRequest::alice().code(&codes.at(stage.clock.now()))));
        }
    }
}

#[test]
fn the_headers_php_twins_are_never_honoured() {
    let (stage, alice) = Stage::with_alice(StoreKind::Embedded);
    for twin in ["X_Drupal_TFA", "x_drupal_tfa", "X-Drupal_TFA"] {
        let request = TokenRequest::alice().header(twin, &alice.code());
        assert_challenge(&stage.send(&request), Challenge::CodeWanted);
    }
}

#[test]
fn the_code_never_reaches_the_upstream() {
    let (stage, alice) = Stage::with_alice(StoreKind::Embedded);
    let code = alice.code();
    let bob = TokenRequest::password("bob", "hunter22");
    let refresh = TokenRequest::grant(&[("grant_type", "refresh_token"), ("refresh_token", "x")]);
    for request in [TokenRequest::alice(), bob, refresh] {
        let request = request.code(&code).header("X_Drupal_TFA", &code).header("x-drupal_tfa", &code);
        let ((), received) = stage.upstream.received_during(|| drop(stage.send(&request)));
        assert_eq!(received.len(), 1);
        let printed = format!("{received:?}");
        assert!(!printed.contains(&code) && !printed.to_lowercase().contains("drupal"), "{printed}");
    }
}
