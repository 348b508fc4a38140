//! Remembered devices: a token that stands for the code, once each.

use crate::support::{
    Challenge, Passcodes, Person, Response, Stage, StoreKind, TokenRequest, assert_challenge, assert_token,
    in_parallel, on_both_stores,
};

/// A stage that remembers devices, with alice enrolled.
fn stage(store: StoreKind) -> (Stage, Person) {
    let mut stage = Stage::prepared_with_movable_clock(store);
    let alice = stage.enrol("alice");
    stage.config.set("devices.remember_days", "30");
    stage.serve();
    (stage, alice)
}

fn remembering(code: &str) -> TokenRequest {
    TokenRequest::alice().code(code).header("X-TFA-Remember", "1")
}

fn with_device(token: &str) -> TokenRequest {
    TokenRequest::alice().header("X-TFA-Device", token)
}

/// The token of a released answer.
fn device_of(answer: &Response) -> String {
    assert_token(answer);
    answer.header("x-tfa-device").unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

on_both_stores! {
    fn a_device_stands_for_the_code_and_gets_a_new_token_each_time(store: StoreKind) {
        let (stage, alice) = stage(store);
        let first = device_of(&stage.send(&remembering(&alice.code())));
        let second = device_of(&stage.send(&with_device(&first)));
        let third = device_of(&stage.send(&with_device(&second)));
        assert!(first != second && second != third);
        // A code that comes along counts, and gives no further device unless one is asked for.
        assert_challenge(&stage.send(&with_device(&third).code(&alice.wrong_code())), Challenge::WrongCode);
        assert_token(&stage.send(&with_device(&third)));
        let (_, received) = stage.upstream.received_during(|| stage.send(&with_device("x.y")));
        assert!(received.iter().all(|request| !format!("{request:?}").to_lowercase().contains("x-tfa")));
    }

    fn nobody_is_remembered_who_does_not_ask_or_without_a_correct_code(store: StoreKind) {
        let (stage, alice) = stage(store);
        for request in [
            TokenRequest::alice().code(&alice.code()),
            remembering(&alice.wrong_code()),
            TokenRequest::alice().header("X-TFA-Remember", "1"),
            TokenRequest::alice().code(&alice.next_code()).header("X-TFA-Remember", "0"),
        ] {
            assert!(stage.send(&request).header("x-tfa-device").is_none());
        }
        // Two headers that say different things ask for nothing; two device tokens are none.
        stage.clock.advance(120);
        let twice = remembering(&alice.code()).header("X-TFA-Device", "a.b").header("X-TFA-Device", "c.d");
        device_of(&stage.send(&twice));
        // Who has no factor needs no device.
        let bob = TokenRequest::password("bob", "hunter22").header("X-TFA-Remember", "1");
        assert!(stage.send(&bob).header("x-tfa-device").is_none());
    }

    fn a_device_is_of_its_subject_and_its_client_alone(store: StoreKind) {
        let (stage, alice) = stage(store);
        stage.enrol("bob");
        let token = device_of(&stage.send(&remembering(&alice.code())));
        let bob = TokenRequest::password("bob", "hunter22").header("X-TFA-Device", &token);
        assert_challenge(&stage.send(&bob), Challenge::CodeWanted);
        let other_client = with_device(&token).without_client().parameter("client_id", "cli");
        assert_challenge(&stage.send(&other_client), Challenge::CodeWanted);
        for twisted in ["", ".", "x", &token[1..], &token.to_uppercase()] {
            assert_challenge(&stage.send(&with_device(twisted)), Challenge::CodeWanted);
        }
        let twice = with_device(&token).header("X-TFA-Device", &token);
        assert_challenge(&stage.send(&twice), Challenge::CodeWanted);
        // None of that spent it.
        let next = device_of(&stage.send(&with_device(&token)));
        // Whoever knows its name and the password, and has another secret, has had one of its secrets.
        assert_challenge(&stage.send(&with_device(&next[..next.len() - 1])), Challenge::CodeWanted);
        assert_challenge(&stage.send(&with_device(&next)), Challenge::CodeWanted);
    }

    fn a_thief_who_used_a_device_more_than_once_is_noticed(store: StoreKind) {
        let (mut stage, alice) = stage(store);
        let owners = device_of(&stage.send(&remembering(&alice.code())));
        let thiefs = device_of(&stage.send(&with_device(&owners)));
        let thiefs = device_of(&stage.send(&with_device(&thiefs)));
        assert_challenge(&stage.send(&with_device(&owners)), Challenge::CodeWanted);
        assert_challenge(&stage.send(&with_device(&thiefs)), Challenge::CodeWanted);
        assert!(stage.stop_gateway().contains("device_reused"));
    }

    fn of_many_at_once_one_gets_in_with_a_device_and_its_next_token_works(store: StoreKind) {
        let (stage, alice) = stage(store);
        let token = device_of(&stage.send(&remembering(&alice.code())));
        let request = with_device(&token).bytes();
        let requests: Vec<_> = (0..20).map(|_| (stage.gateway().address(), request.clone())).collect();
        let answers = in_parallel(&requests);
        let released: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(released.len(), 1, "{answers:#?}");
        assert_token(&stage.send(&with_device(&device_of(released[0]))));
    }

    fn a_used_token_that_comes_back_later_ends_the_device(store: StoreKind) {
        let (mut stage, alice) = stage(store);
        let stolen = device_of(&stage.send(&remembering(&alice.code())));
        let next = device_of(&stage.send(&with_device(&stolen)));
        stage.clock.advance(120);
        assert_challenge(&stage.send(&with_device(&stolen)), Challenge::CodeWanted);
        assert_challenge(&stage.send(&with_device(&next)), Challenge::CodeWanted);
        let log = stage.stop_gateway();
        assert!(log.contains("device_reused"), "{log}");
        assert!([&stolen, &next].iter().all(|token| !log.contains(token.as_str())));
    }

    fn a_device_is_forgotten_after_its_days_however_often_it_was_used(store: StoreKind) {
        let (stage, alice) = stage(store);
        let mut token = device_of(&stage.send(&remembering(&alice.code())));
        for _ in 0..2 {
            stage.clock.advance(14 * 24 * 3600);
            token = device_of(&stage.send(&with_device(&token)));
        }
        stage.clock.advance(3 * 24 * 3600);
        assert_challenge(&stage.send(&with_device(&token)), Challenge::CodeWanted);
    }

    fn all_devices_are_gone_when_a_factor_changes(store: StoreKind) {
        let (stage, alice) = stage(store);
        let run = |command: &[&str]| stage.config.run(command).ok();
        let remembered = |who: &Person| {
            stage.clock.advance(120);
            device_of(&stage.send(&remembering(&who.code())))
        };
        let is_gone = |token: &str| assert_challenge(&stage.send(&with_device(token)), Challenge::CodeWanted);

        let token = remembered(&alice);
        let waiting = stage.config.run(&["enrol", "alice", "--pending", "--json"]).json();
        // What waits changes nothing yet.
        let token = device_of(&stage.send(&with_device(&token)));
        let secret = waiting["secret"].as_str().expect("a secret");
        let code = Passcodes::of(secret).at(stage.clock.now());
        run(&["confirm", "alice", waiting["factor_id"].as_str().expect("an id"), &code]);
        is_gone(&token);

        let token = remembered(&alice);
        run(&["enrol", "alice"]);
        is_gone(&token);

        let token = remembered(&alice);
        std::fs::write(stage.config.dir().join("more.csv"), "subject,secret\nalice,JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n")
            .expect("written");
        run(&["import", "--format", "csv", "more.csv"]);
        is_gone(&token);

        let token = remembered(&alice);
        run(&["recovery-codes", "alice"]);
        is_gone(&token);

        let token = remembered(&alice);
        run(&["disable", "alice"]);
        let anew = stage.enrol("alice");
        is_gone(&token);

        let token = remembered(&anew);
        run(&["enrol", "alice"]);
        is_gone(&token);
        let token = remembered(&anew);
        run(&["remove", "alice", &anew.factor_id]);
        is_gone(&token);
        run(&["disable", "alice"]);
        assert_token(&stage.send(&TokenRequest::alice()));
    }

    fn devices_are_listed_and_forgotten_and_never_more_than_ten(store: StoreKind) {
        let (stage, alice) = stage(store);
        let mut tokens = Vec::new();
        for _ in 0..11 {
            stage.clock.advance(60);
            let request = remembering(&alice.code()).header("User-Agent", "some-cli/1.0");
            tokens.push(device_of(&stage.send(&request)));
        }
        let list = || -> Vec<serde_json::Value> {
            let listed = stage.config.run(&["devices", "alice", "--json"]).ok();
            listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
        };
        let listed = list();
        assert_eq!(listed.len(), 10);
        assert_eq!((&listed[0]["client_id"], &listed[0]["label"]), (&"testclient".into(), &"some-cli/1.0".into()));
        // The first one went.
        assert_challenge(&stage.send(&with_device(&tokens[0])), Challenge::CodeWanted);
        let id = tokens[10].split_once('.').expect("an id").0;
        stage.config.run(&["devices", "alice", "--forget", id]).ok();
        assert_challenge(&stage.send(&with_device(&tokens[10])), Challenge::CodeWanted);
        assert_token(&stage.send(&with_device(&tokens[9])));
        stage.config.run(&["devices", "alice", "--forget-all"]).ok();
        assert!(list().is_empty());
        assert_challenge(&stage.send(&with_device(&tokens[8])), Challenge::CodeWanted);
        assert!(stage.config.run(&["audit"]).ok().contains("device_forgotten"));
    }
}

#[test]
fn devices_are_not_remembered_unless_that_is_switched_on() {
    let (mut stage, alice) = stage(StoreKind::Embedded);
    let token = device_of(&stage.send(&remembering(&alice.code())));
    stage.config.set("devices.remember_days", "0");
    stage.serve();
    assert!(stage.send(&remembering(&alice.next_code())).header("x-tfa-device").is_none());
    assert_challenge(&stage.send(&with_device(&token)), Challenge::CodeWanted);
}
