//! One code, many requests at the same moment: exactly one of them gets the token.

use crate::support::{
    Gateway, Person, Stage, StoreKind, TokenRequest, assert_token, has_token, in_parallel, on_both_stores,
};

const TOGETHER: usize = 50;

fn assert_one_winner(stage: &Stage, alice: &Person, gateways: &[&Gateway]) {
    for code in [alice.code(), alice.next_code()] {
        let request = TokenRequest::alice().code(&code).bytes();
        let addresses = gateways.iter().map(|gateway| gateway.address()).cycle();
        let requests: Vec<_> = addresses.map(|address| (address, request.clone())).take(TOGETHER).collect();
        let (answers, received) = stage.upstream.received_during(|| in_parallel(&requests));

        assert_eq!(received.len(), TOGETHER, "each was sent upstream once");
        let (released, withheld): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| has_token(answer));
        assert_eq!(released.len(), 1, "{released:#?}");
        assert_token(released[0]);
        for answer in withheld {
            assert_eq!(answer.status, 401, "{answer:?}");
            assert_eq!(answer.header("x-drupal-tfa"), Some("required, schemes=totp"), "{answer:?}");
        }
    }
}

on_both_stores! {
    fn one_code_sent_many_times_at_once_opens_once(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        assert_one_winner(&stage, &alice, &[stage.gateway()]);
    }

    fn one_code_sent_through_two_gateways_at_once_opens_once(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let other = stage.config.serve();
        assert_one_winner(&stage, &alice, &[stage.gateway(), &other]);
    }

    fn many_different_wrong_codes_at_once_are_looked_at_five_times(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let requests: Vec<_> = alice
            .wrong_codes(TOGETHER)
            .iter()
            .map(|code| (stage.gateway().address(), TokenRequest::alice().code(code).bytes()))
            .collect();
        let answers = in_parallel(&requests);
        let looked_at = answers.iter().filter(|answer| answer.header("retry-after").is_none()).count();
        assert_eq!(looked_at, 5);
        assert!(!answers.iter().any(has_token));
    }
}
