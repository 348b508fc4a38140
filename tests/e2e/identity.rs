//! One person, however the name is spelt.

use crate::support::{
    Challenge, Kind, Stage, StoreKind, TokenRequest, assert_challenge, assert_relayed, assert_token,
    has_token, on_both_stores,
};

const SPELLINGS: &[&str] = &[
    "alice",
    "ALICE",
    "Alice",
    "álice",
    "a\u{301}lice",
    "ａｌｉｃｅ",
    "alıce",
    "alİce",
    " alice ",
    "alice  ",
    "\u{a0}alice",
    "al\u{200b}ice",
];

/// Every spelling that gets a token of the upstream is challenged; the others get what it says to them.
fn assert_all_spellings_challenged(stage: &Stage) -> usize {
    let mut accepted = 0;
    for spelling in SPELLINGS {
        let request = TokenRequest::password(spelling, "passw0rd");
        let direct = stage.send_directly(&request);
        let answer = stage.send(&request);
        if has_token(&direct) {
            accepted += 1;
            assert_challenge(&answer, Challenge::CodeWanted);
        } else {
            assert_relayed(&answer, &direct);
        }
    }
    accepted
}

on_both_stores! {
    fn every_spelling_that_php_and_mariadb_take_is_challenged(store: StoreKind) {
        let (stage, _) = Stage::with_alice(store);
        let accepted = assert_all_spellings_challenged(&stage);
        assert!(accepted >= 10, "the upstream takes only {accepted} of them");
    }

    fn one_persons_failures_and_used_codes_are_counted_over_all_spellings(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let spelt = |spelling: &str| TokenRequest::password(spelling, "passw0rd");
        let code = alice.code();
        assert_token(&stage.send(&spelt("ALICE").code(&code)));
        assert_challenge(&stage.send(&spelt("álice").code(&code)), Challenge::UsedCode);
        for (spelling, code) in SPELLINGS.iter().zip(alice.wrong_codes(4)) {
            assert_challenge(&stage.send(&spelt(spelling).code(&code)), Challenge::WrongCode);
        }
        let answer = stage.send(&spelt("alıce").code(&alice.next_code()));
        assert_challenge(&answer, Challenge::LockedForMinutes(15));
    }

    fn the_command_line_folds_names_alike(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        let alice = stage.enrol(" ＡLÍCE ");
        stage.serve();
        assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
        assert_eq!(stage.config.run(&["status", "Alice", "--json"]).json()["enrolled"], true);
    }
}

#[test]
fn every_spelling_that_glewlwyd_takes_is_challenged() {
    let mut stage = Stage::prepared_in_front_of(Kind::Glewlwyd, StoreKind::Redis);
    stage.enrol("alice");
    stage.serve();
    let accepted = assert_all_spellings_challenged(&stage);
    assert!(accepted >= 3, "the upstream takes only {accepted} of them");
}
