//! Failures, the locks they lead to, and the way out; time moves on with the test.

use crate::support::{
    Challenge, Person, Stage, StoreKind, TokenRequest, assert_challenge, assert_token, on_both_stores,
};

fn stage_with_alice(store: StoreKind) -> (Stage, Person) {
    let mut stage = Stage::prepared_with_movable_clock(store);
    let alice = stage.enrol("alice");
    stage.serve();
    (stage, alice)
}

fn fail(stage: &Stage, alice: &Person, times: usize) {
    for code in alice.wrong_codes(times) {
        assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::WrongCode);
    }
}

fn assert_locked(stage: &Stage, alice: &Person, minutes: u64) {
    let answer = stage.send(&TokenRequest::alice().code(&alice.code()));
    assert_challenge(&answer, Challenge::LockedForMinutes(minutes));
}

on_both_stores! {
    fn a_lock_ends_by_itself_and_a_login_forgets_it(store: StoreKind) {
        let (stage, alice) = stage_with_alice(store);
        fail(&stage, &alice, 5);
        assert_locked(&stage, &alice, 15);
        stage.clock.advance(14 * 60);
        assert_locked(&stage, &alice, 1);
        stage.clock.advance(60);
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
        stage.clock.advance(60);
        fail(&stage, &alice, 5);
        assert_locked(&stage, &alice, 15);
    }

    fn each_further_lock_is_longer_up_to_an_hour(store: StoreKind) {
        let (stage, alice) = stage_with_alice(store);
        for minutes in [15, 30, 60, 60] {
            fail(&stage, &alice, 5);
            assert_locked(&stage, &alice, minutes);
            stage.clock.advance(minutes * 60);
        }
    }

    fn failures_far_apart_do_not_lock(store: StoreKind) {
        let (stage, alice) = stage_with_alice(store);
        for _ in 0..3 {
            fail(&stage, &alice, 4);
            stage.clock.advance(16 * 60);
        }
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
    }

    fn a_hundred_failures_in_a_row_lock_until_an_administrator_unlocks(store: StoreKind) {
        let (stage, alice) = stage_with_alice(store);
        for _ in 0..20 {
            fail(&stage, &alice, 5);
            stage.clock.advance(3600);
        }
        stage.clock.advance(366 * 24 * 3600);
        let answer = stage.send(&TokenRequest::alice().code(&alice.code()));
        assert_challenge(&answer, Challenge::LockedForGood);
        stage.config.run(&["unlock", "alice"]).ok();
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
    }

    fn unlocking_ends_a_lock_at_once(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        fail(&stage, &alice, 5);
        assert_locked(&stage, &alice, 15);
        stage.config.run(&["unlock", "alice"]).ok();
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
    }

    /// Go's x/oauth2 sends everything again, with the client's credentials in the body, after any refusal.
    fn the_same_wrong_code_sent_again_counts_once(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let code = alice.wrong_code();
        let again = TokenRequest::alice()
            .without_client()
            .parameter("client_id", "testclient")
            .parameter("client_secret", "testpass");
        for _ in 0..10 {
            assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::WrongCode);
            assert_challenge(&stage.send(&again.clone().code(&code)), Challenge::WrongCode);
        }
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
    }

    fn a_stranger_without_the_password_can_lock_nobody_out(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let stranger = TokenRequest::password("alice", "not-it");
        for code in alice.wrong_codes(10) {
            let answer = stage.send(&stranger.clone().code(&code));
            assert_eq!(answer.header("x-drupal-tfa"), None, "{answer:?}");
        }
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
    }

    fn a_replayed_code_counts_as_a_failure(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let code = alice.code();
        assert_token(&stage.send(&TokenRequest::alice().code(&code)));
        assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::UsedCode);
        fail(&stage, &alice, 4);
        assert_locked(&stage, &alice, 15);
    }
}
