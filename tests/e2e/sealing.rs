//! Secrets at rest: what does not open is an error, and an error releases nothing.

use std::fs;

use crate::support::{
    Challenge, Person, Response, Stage, StoreKind, TokenRequest, assert_challenge, assert_denied,
    assert_token, on_both_stores,
};

fn assert_closed(answer: &Response) {
    assert_denied(answer, 503, "temporarily_unavailable");
}

/// Alice gets no token, with a code or without; and bob, whose records are in order, gets his.
fn assert_closed_for_alice_alone(stage: &Stage, alice: &Person) {
    assert_closed(&stage.send(&TokenRequest::alice()));
    assert_closed(&stage.send(&TokenRequest::alice().code(&alice.code())));
    assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
}

on_both_stores! {
    fn with_another_key_file_nobody_is_let_in(store: StoreKind) {
        let (mut stage, alice) = Stage::with_alice(store);
        let kept = fs::read(stage.config.key_file()).expect("the key file");
        fs::remove_file(stage.config.key_file()).expect("removed");
        stage.config.run(&["keys", "generate"]).ok();
        stage.serve();
        assert_closed_for_alice_alone(&stage, &alice);

        fs::write(stage.config.key_file(), kept).expect("written"); // into the same file: its mode stays
        stage.serve();
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
    }

    fn after_a_rotation_old_and_new_records_open(store: StoreKind) {
        let (mut stage, alice) = Stage::with_alice(store);
        stage.config.run(&["keys", "generate"]).ok();
        let bob = stage.enrol("bob");
        stage.serve();
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
        assert_token(&stage.send(&TokenRequest::password("bob", "hunter22").code(&bob.code())));
    }

    fn who_cannot_be_read_can_be_disabled_and_enrolled_anew(store: StoreKind) {
        let (mut stage, _) = Stage::with_alice(store);
        fs::remove_file(stage.config.key_file()).expect("removed");
        stage.config.run(&["keys", "generate"]).ok();
        stage.config.run(&["disable", "alice"]).ok();
        let alice = stage.enrol("alice");
        stage.serve();
        assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
    }

    fn no_secret_lies_in_the_store_in_the_clear(store: StoreKind) {
        let (mut stage, alice) = Stage::with_alice(store);
        for code in [alice.wrong_code(), alice.code()] {
            stage.send(&TokenRequest::alice().code(&code));
        }
        let secret = data_encoding::BASE32_NOPAD.decode(alice.secret.as_bytes()).expect("Base32");
        let stored = everything_stored(&mut stage);
        for form in [secret.clone(), alice.secret.clone().into_bytes(), data_encoding::HEXLOWER.encode(&secret).into()] {
            assert!(!stored.windows(form.len()).any(|window| window == form), "{form:?}");
        }
    }
}

/// The bytes of the store's files.
fn everything_stored(stage: &mut Stage) -> Vec<u8> {
    match &stage.redis {
        Some(redis) => redis.written(),
        None => fs::read_dir(stage.config.dir())
            .expect("the directory")
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("gateway.db"))
            .flat_map(|entry| fs::read(entry.path()).expect("a file"))
            .collect(),
    }
}
