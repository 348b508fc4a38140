//! Recovery codes: for whoever has lost the phone.

use crate::support::{
    Challenge, Stage, StoreKind, TokenRequest, assert_challenge, assert_token, in_parallel, on_both_stores,
};

fn recovery_codes(stage: &Stage) -> Vec<String> {
    let made = stage.config.run(&["recovery-codes", "alice", "--json"]).json();
    let codes = made["recovery_codes"].as_array().expect("codes");
    codes.iter().map(|code| code.as_str().expect("a text").to_owned()).collect()
}

fn left(stage: &Stage) -> u64 {
    stage.config.run(&["status", "alice", "--json"]).json()["recovery_codes"].as_u64().expect("a number")
}

on_both_stores! {
    fn a_recovery_code_opens_once_in_the_place_of_a_code(store: StoreKind) {
        let (stage, _) = Stage::with_alice(store);
        let codes = recovery_codes(&stage);
        assert_eq!(codes.len(), 10);
        let with = |code: &str| stage.send(&TokenRequest::alice().code(code));
        assert_token(&with(&codes[0]));
        assert_challenge(&with(&codes[0]), Challenge::WrongCode);
        assert_token(&with(&codes[1].to_uppercase().replace('-', "")));
        assert_token(&with(&codes[2].replace('-', " ")));
        assert_eq!(left(&stage), 7);
        assert!(stage.config.run(&["status", "alice"]).ok().contains("7 recovery codes left"));
    }

    fn a_recovery_code_with_a_wrong_password_or_for_somebody_else_is_not_spent(store: StoreKind) {
        let (stage, _) = Stage::with_alice(store);
        stage.enrol("bob");
        let codes = recovery_codes(&stage);
        assert_eq!(stage.send(&TokenRequest::password("alice", "not-it").code(&codes[0])).status, 401);
        assert_challenge(&stage.send(&TokenRequest::password("bob", "hunter22").code(&codes[0])), Challenge::WrongCode);
        assert_token(&stage.send(&TokenRequest::alice().code(&codes[0])));
    }

    fn of_many_at_once_one_gets_a_token_for_a_recovery_code(store: StoreKind) {
        let (stage, _) = Stage::with_alice(store);
        let codes = recovery_codes(&stage);
        let request = TokenRequest::alice().code(&codes[4]);
        let address = stage.gateway().address();
        let requests: Vec<_> = (0..12).map(|_| (address, request.bytes())).collect();
        let released = in_parallel(&requests).iter().filter(|answer| answer.status == 200).count();
        assert_eq!(released, 1);
    }

    fn wrong_recovery_codes_lock_recovery_codes_and_not_the_authenticator(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let codes = recovery_codes(&stage);
        for n in 0..5 {
            let wrong = format!("0000-0000-0000-000{n}");
            assert_challenge(&stage.send(&TokenRequest::alice().code(&wrong)), Challenge::WrongCode);
        }
        assert_challenge(&stage.send(&TokenRequest::alice().code(&codes[0])), Challenge::LockedForMinutes(15));
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
        stage.config.run(&["unlock", "alice"]).ok();
        assert_token(&stage.send(&TokenRequest::alice().code(&codes[0])));
    }

    fn new_recovery_codes_end_the_old_ones_and_none_lies_in_the_store(store: StoreKind) {
        let (mut stage, _) = Stage::with_alice(store);
        let old = recovery_codes(&stage);
        let new = recovery_codes(&stage);
        assert_challenge(&stage.send(&TokenRequest::alice().code(&old[0])), Challenge::WrongCode);
        assert_token(&stage.send(&TokenRequest::alice().code(&new[0])));
        let written = match store {
            StoreKind::Redis => stage.redis().written(),
            StoreKind::Embedded => ["gateway.db", "gateway.db-wal"]
                .map(|name| std::fs::read(stage.config.dir().join(name)).expect("the store"))
                .concat(),
        };
        let log = stage.stop_gateway();
        for code in old.iter().chain(&new) {
            for spelled in [code.clone(), code.replace('-', "")] {
                let is_in = |bytes: &[u8]| bytes.windows(spelled.len()).any(|window| window == spelled.as_bytes());
                assert!(!is_in(&written) && !is_in(log.as_bytes()), "{spelled}");
            }
        }
        assert!(log.contains("released_with_recovery_code"), "{log}");
    }

    fn who_is_not_enrolled_gets_no_recovery_codes_and_disabling_takes_them(store: StoreKind) {
        let (stage, _) = Stage::with_alice(store);
        let said = stage.config.run(&["recovery-codes", "bob"]).refused();
        assert!(said.contains("not enrolled"), "{said}");
        let codes = recovery_codes(&stage);
        stage.config.run(&["disable", "alice"]).ok();
        stage.enrol("alice");
        assert_eq!(left(&stage), 0);
        assert_challenge(&stage.send(&TokenRequest::alice().code(&codes[0])), Challenge::WrongCode);
    }
}
