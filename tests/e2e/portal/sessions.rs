//! Sessions of the self-service pages: how long they last, and what ends them.

use super::{Visitor, assert_status, serve_pages, stage};
use crate::support::{
    Challenge, Passcodes, Stage, StoreKind, TokenRequest, assert_challenge, on_both_stores,
};

on_both_stores! {
    fn a_session_that_showed_a_password_only_ends_when_a_factor_counts(store: StoreKind) {
        let (stage, origin) = stage(store);
        let (mut thief, mut alice) = (Visitor::new(&stage, &origin), Visitor::new(&stage, &origin));
        assert_status(&thief.sign_in("alice", "passw0rd", ""), 303);
        assert_status(&alice.sign_in("alice", "passw0rd", ""), 303);
        let (stolen_id, stolen_secret) = thief.add();
        let stolen_token = thief.form_token();
        let (id, secret) = alice.add();
        let now = stage.clock.now();
        assert_status(&alice.confirm(&id, &Passcodes::of(&secret).at(now)), 303);
        // Whoever knows the password alone cannot bring a factor of their own in now.
        let code = Passcodes::of(&stolen_secret).at(now);
        let late = [("form_token", stolen_token.as_str()), ("code", &code)];
        assert_status(&thief.post(&format!("factors/{stolen_id}/confirm"), &late), 401);
        assert_status(&thief.get("recovery-codes"), 401);
        assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::WrongCode);
        // The session that confirmed goes on.
        assert!(alice.get("").text().contains("Two-factor authentication is on"));
    }

    fn a_session_ends_when_a_factor_goes_that_there_was_when_it_showed_one(store: StoreKind) {
        let (mut stage, _) = stage(store);
        let person = stage.enrol("alice");
        let origin = serve_pages(&mut stage);
        let (mut thief, mut alice) = (Visitor::new(&stage, &origin), Visitor::new(&stage, &origin));
        assert_status(&thief.sign_in("alice", "passw0rd", &person.code()), 303);
        assert_status(&alice.sign_in("alice", "passw0rd", &person.next_code()), 303);
        assert!(thief.get("").text().contains("authentication is on"));
        stage.config.run(&["disable", "alice"]).ok();
        let anew = stage.enrol("alice");
        for page in ["", "recovery-codes"] {
            assert!(!thief.get(page).text().contains("authentication is on"));
            assert!(!alice.get(page).text().contains("authentication is on"));
        }
        assert_status(&alice.sign_in("alice", "passw0rd", &anew.code()), 303);
        assert!(alice.get("").text().contains("authentication is on"));
    }

    fn who_has_signed_out_stays_so_whatever_is_under_way(store: StoreKind) {
        let (stage, origin) = stage(store);
        for _ in 0..5 {
            let mut visitor = Visitor::new(&stage, &origin);
            assert_status(&visitor.sign_in("alice", "passw0rd", ""), 303);
            let token = visitor.form_token();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for _ in 0..10 {
                            visitor.get("");
                        }
                    });
                }
                assert_status(&visitor.post("sign-out", &[("form_token", &token)]), 303);
            });
            assert!(visitor.get("").text().contains("User name"), "the session is still there");
        }
    }

    fn no_more_changes_are_made_in_one_session_than_there_may_be_however_many_at_once(store: StoreKind) {
        let (mut stage, _) = stage(store);
        let person = stage.enrol("alice");
        let origin = serve_pages(&mut stage);
        let mut visitor = Visitor::new(&stage, &origin);
        assert_status(&visitor.sign_in("alice", "passw0rd", &person.code()), 303);
        let token = visitor.form_token();
        let post = || visitor.post("devices/none/forget", &[("form_token", &token)]).status;
        let statuses = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..16 {
                        let status = post();
                        statuses.lock().expect("no panic").push(status);
                    }
                });
            }
        });
        let mut statuses = statuses.into_inner().expect("no panic");
        // One that others kept from being counted was not made.
        statuses.extend((0..100).map(|_| post()).take_while(|status| *status != 429));
        let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
        assert_eq!((count(303), count(303) + count(429)), (100, statuses.len()), "{statuses:?}");
        // A sign-in begins anew.
        assert_status(&visitor.sign_in("alice", "passw0rd", &person.next_code()), 303);
        assert_eq!(visitor.post("sign-out", &[("form_token", &visitor.form_token())]).status, 303);
    }

    fn a_session_ends_by_itself_and_after_an_hour_whatever_is_done(store: StoreKind) {
        let mut stage = Stage::prepared_with_movable_clock(store);
        stage.config.set("portal.session_secs", "600");
        let origin = serve_pages(&mut stage);
        let mut visitor = Visitor::new(&stage, &origin);
        let is_signed_in = |visitor: &Visitor<'_>| visitor.get("").text().contains("Signed in as");
        assert_status(&visitor.sign_in("alice", "passw0rd", ""), 303);
        let token = visitor.form_token();
        stage.clock.advance(599);
        assert!(is_signed_in(&visitor));
        // Whoever goes on gets more time.
        stage.clock.advance(500);
        assert!(is_signed_in(&visitor));
        stage.clock.advance(601);
        assert!(!is_signed_in(&visitor));
        assert_status(&visitor.post("factors", &[("form_token", &token)]), 401);
        // But not more than an hour.
        assert_status(&visitor.sign_in("alice", "passw0rd", ""), 303);
        for _ in 0..7 {
            stage.clock.advance(500);
            assert!(is_signed_in(&visitor));
        }
        stage.clock.advance(101);
        assert!(!is_signed_in(&visitor));
    }

    fn a_sign_in_ends_the_session_before(store: StoreKind) {
        let (stage, origin) = stage(store);
        let mut visitor = Visitor::new(&stage, &origin);
        assert_status(&visitor.sign_in("alice", "passw0rd", ""), 303);
        let before = visitor.cookie.clone();
        assert_status(&visitor.sign_in("alice", "passw0rd", ""), 303);
        visitor.cookie = before;
        assert!(visitor.get("").text().contains("User name"));
    }

    fn a_session_lies_sealed_in_the_store_under_a_digest(store: StoreKind) {
        let (mut stage, origin) = stage(store);
        let mut visitor = Visitor::new(&stage, &origin);
        visitor.sign_in("alice", "passw0rd", "");
        let secret = visitor.cookie.clone().expect("a cookie");
        let form_token = visitor.form_token();
        let log = stage.stop_gateway();
        let written = match store {
            StoreKind::Redis => stage.redis().written(),
            StoreKind::Embedded => {
                let read = |name: &str| std::fs::read(stage.config.dir().join(name)).unwrap_or_default();
                [read("gateway.db"), read("gateway.db-wal")].concat()
            }
        };
        let digest = data_encoding::HEXLOWER.encode(&sha2::Digest::finalize(
            <sha2::Sha256 as sha2::Digest>::new_with_prefix(secret.as_bytes()),
        ));
        assert!(written.windows(digest.len()).any(|window| window == digest.as_bytes()), "the session is there");
        for text in [secret.as_str(), &form_token, "passw0rd"] {
            let is_in = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!is_in(&written) && !is_in(log.as_bytes()), "{text}");
        }
    }
}
