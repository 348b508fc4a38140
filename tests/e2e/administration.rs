//! The command line's work on enrolments: confirmed, listed, recorded, sealed anew.

use crate::support::{
    Challenge, Passcodes, Stage, StoreKind, TokenRequest, assert_challenge, assert_token, on_both_stores,
};

on_both_stores! {
    fn a_factor_that_waits_counts_after_it_was_confirmed(store: StoreKind) {
        let stage = Stage::serving(store);
        let made = stage.config.run(&["enrol", "alice", "--pending", "--label", "phone", "--json"]).json();
        let (id, secret) = (made["factor_id"].as_str().expect("an id"), made["secret"].as_str().expect("a secret"));
        assert_token(&stage.send(&TokenRequest::alice()));

        let codes = Passcodes::of(secret);
        let now = stage.clock.now();
        let said = stage.config.run(&["confirm", "alice", id, &codes.wrong(now, 1)[0]]).refused();
        assert!(said.contains("the code does not fit"), "{said}");
        assert_token(&stage.send(&TokenRequest::alice()));
        stage.config.run(&["confirm", "alice", id, &codes.at(now)]).ok();
        assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
        // The code that confirmed it is used up, and the next one is not.
        assert_challenge(&stage.send(&TokenRequest::alice().code(&codes.at(now))), Challenge::UsedCode);
        assert_token(&stage.send(&TokenRequest::alice().code(&codes.steps_after(now, 1))));

        let again = stage.config.run(&["confirm", "alice", id, &codes.at(now)]).refused();
        assert!(again.contains("counts already"), "{again}");
        stage.config.run(&["remove", "alice", id]).ok();
        assert_token(&stage.send(&TokenRequest::alice()));
    }

    fn all_names_are_listed_and_found(store: StoreKind) {
        let stage = Stage::prepared(store);
        for name in ["alice", "bob", "Zoé"] {
            stage.enrol(name);
        }
        stage.config.run(&["alias", "alice@example.org", "alice"]).ok();
        let listed = stage.config.run(&["list"]).ok();
        let mut lines: Vec<&str> = listed.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, [
            "alice\t1 factor, 0 waiting, 0 recovery codes",
            "alice@example.org\talias of alice",
            "bob\t1 factor, 0 waiting, 0 recovery codes",
            "zoe\t1 factor, 0 waiting, 0 recovery codes",
        ]);
        let found = stage.config.run(&["list", "--search", "ALICE@", "--json"]).json();
        assert_eq!((&found["subject"], &found["alias_of"]), (&"alice@example.org".into(), &"alice".into()));
        assert_eq!(stage.config.run(&["list", "--search", "nobody"]).ok(), "");
    }

    fn every_change_is_recorded_with_who_what_and_when_and_no_secret(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        stage.config.set_env("SUDO_USER", "carol");
        let alice = stage.enrol("alice");
        let codes = stage.config.run(&["recovery-codes", "alice"]).ok();
        stage.config.run(&["alias", "alice@example.org", "alice"]).ok();
        stage.config.run(&["alias", "--remove", "alice@example.org"]).ok();
        stage.config.run(&["unlock", "alice"]).ok();
        stage.config.run(&["remove", "alice", &alice.factor_id]).ok();
        stage.config.run(&["disable", "bob"]).ok();
        let trail = stage.config.run(&["audit", "--json"]).ok();
        let events: Vec<serde_json::Value> =
            trail.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let changes: Vec<_> = events.iter().map(|event| event["change"].as_str().expect("a text")).collect();
        assert_eq!(changes, [
            "disabled", "removed", "unlocked", "alias_removed", "alias_added", "recovery_codes_replaced", "enrolled",
        ]);
        for event in &events {
            let actor = event["actor"].as_str().expect("a text");
            assert!(actor.starts_with("cli:carol (uid "), "{actor}");
            assert!(event["at"].as_u64().expect("a time") > 1_700_000_000, "{event}");
        }
        assert_eq!(events[6]["object"], alice.factor_id.as_str());
        assert!(!trail.contains(&alice.secret));
        assert!(codes.lines().take(10).all(|code| !trail.contains(code)));

        let of_bob = stage.config.run(&["audit", "--subject", "bob"]).ok();
        assert_eq!(of_bob.lines().count(), 1, "{of_bob}");
        let latest = stage.config.run(&["audit", "--limit", "2", "--subject", "alice"]).ok();
        assert_eq!(latest.lines().count(), 2, "{latest}");
    }

    fn after_a_rotation_the_older_key_is_not_needed(store: StoreKind) {
        let (mut stage, alice) = Stage::with_alice(store);
        let codes = stage.config.run(&["recovery-codes", "alice", "--json"]).json();
        let key = stage.config.run(&["keys", "generate", "--json"]).json()["key_id"].clone();
        let rotated = stage.config.run(&["keys", "rotate", "--json"]).json();
        assert_eq!((&rotated["key_id"], &rotated["records_resealed"]), (&key, &11.into()), "{rotated}");
        assert_eq!(stage.config.run(&["keys", "rotate", "--json"]).json()["records_resealed"], 0);
        let trail = stage.config.run(&["audit", "--json"]).ok();
        let latest: serde_json::Value = serde_json::from_str(trail.lines().next().expect("a line")).expect("JSON");
        assert_eq!((&latest["change"], &latest["object"]), (&"resealed".into(), &key));
        assert_eq!(trail.matches("resealed").count(), 1, "{trail}");

        stage.stop_gateway();
        let text = std::fs::read_to_string(stage.config.key_file()).expect("the key file");
        let mut keys: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        keys["keys"].as_object_mut().expect("keys").retain(|name, _| key == name.as_str());
        std::fs::write(stage.config.key_file(), keys.to_string()).expect("written");
        stage.serve();
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
        let code = codes["recovery_codes"][0].as_str().expect("a code");
        assert_token(&stage.send(&TokenRequest::alice().code(code)));
    }

    fn a_rotation_names_the_records_that_do_not_open_and_does_the_rest(store: StoreKind) {
        let mut stage = Stage::prepared(store);
        stage.enrol("alice");
        let old = std::fs::read(stage.config.key_file()).expect("the keys");
        std::fs::remove_file(stage.config.key_file()).expect("removed");
        stage.config.run(&["keys", "generate"]).ok();
        stage.enrol("bob");
        let said = stage.config.run(&["keys", "rotate"]).refused();
        assert!(said.contains("alice: ") && said.contains("of 1 name could not"), "{said}");
        assert!(!said.contains("bob: "), "{said}");
        std::fs::write(stage.config.key_file(), old).expect("restored");
        stage.serve();
        assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let stage = Stage::prepared(StoreKind::Embedded);
    let help = stage.config.run(&["--help"]).ok();
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Descriptions that are wrapped are indented more.
    let names: Vec<&str> = commands
        .filter_map(|line| {
            line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '))?.split_whitespace().next()
        })
        .collect();
    assert!(names.len() > 10, "{help}");
    let commands = names.into_iter().filter(|name| !["help", "keys"].contains(name)).map(|name| vec![name]);
    for command in commands.chain([vec!["keys", "generate"], vec!["keys", "rotate"]]) {
        let help = stage.config.run(&[command.as_slice(), &["--help"]].concat()).ok();
        let shown = format!("tfa-gateway {}", command.join(" "));
        let (_, examples) = help.split_once("Example").unwrap_or_else(|| panic!("{command:?}: {help}"));
        assert!(examples.contains(&shown), "{command:?}: {help}");
    }
}

#[test]
fn exit_codes_tell_what_failed_from_what_was_wrong_to_ask() {
    let stage = Stage::prepared(StoreKind::Embedded);
    stage.enrol("alice");
    for (arguments, code) in [
        (&["status", "alice"][..], 0),
        (&["remove", "alice", "none"], 1),
        (&["status"], 2),
        (&["no-such-command"], 2),
        (&["status", "alice", "--no-such-flag"], 2),
        (&["--help"], 0),
    ] {
        let ran = stage.config.run(arguments);
        assert_eq!(ran.status.code(), Some(code), "{ran:?}");
    }
}

/// What each command prints with `--json`, one object: these members.
#[test]
fn every_command_speaks_json() {
    let mut stage = Stage::prepared_with_movable_clock(StoreKind::Embedded);
    stage.config.set("devices.remember_days", "30");
    stage.serve();
    let run = |arguments: &[&str], members: &[&str]| {
        let said = stage.config.run(&[arguments, &["--json"]].concat()).ok();
        let said: Vec<serde_json::Value> = said
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        let last = said.last().unwrap_or_else(|| panic!("{arguments:?}: nothing")).clone();
        for member in members {
            assert!(!last[member].is_null(), "{arguments:?}: {last}");
        }
        last
    };
    let key = run(&["keys", "generate"], &["key_id"]);
    let made = run(&["enrol", "alice", "--pending"], &["subject", "factor_id", "secret", "otpauth_uri"]);
    let (id, secret) =
        (made["factor_id"].as_str().expect("an id"), made["secret"].as_str().expect("a secret"));
    let code = Passcodes::of(secret).at(stage.clock.now());
    let confirmed = run(&["confirm", "alice", id, &code], &["subject", "factor_id", "factors"]);
    assert_eq!(confirmed["factors"], 1);
    run(&["status", "alice"], &["enrolled", "factors", "recovery_codes"]);
    run(&["list"], &["subject"]);
    stage.clock.advance(60);
    let remembering = || {
        let code = Passcodes::of(secret).at(stage.clock.now());
        let answer = stage.send(&TokenRequest::alice().code(&code).header("X-TFA-Remember", "1"));
        answer.header("x-tfa-device").expect("a device").split_once('.').expect("an id").0.to_owned()
    };
    let device = remembering();
    assert_eq!(run(&["devices", "alice"], &["client_id"])["id"], device.as_str());
    assert_eq!(run(&["devices", "alice", "--forget", &device], &["subject"])["devices_forgotten"], 1);
    stage.clock.advance(60);
    remembering();
    assert_eq!(run(&["devices", "alice", "--forget-all"], &["subject"])["devices_forgotten"], 1);
    let codes = run(&["recovery-codes", "alice"], &["subject", "recovery_codes"]);
    assert_eq!(codes["recovery_codes"].as_array().map(Vec::len), Some(10));
    run(&["alias", "alice@example.org", "alice"], &[]);
    run(&["explain", "--subject", "alice"], &["then", "outcome"]);
    run(&["audit"], &["at", "actor", "change"]);
    run(&["unlock", "alice"], &["subject", "unlocked"]);
    let exported =
        run(&["export", "--output", "all.sealed"], &["factors", "aliases", "recovery_codes", "failed"]);
    assert_eq!((&exported["factors"], &exported["sealed"]), (&1.into(), &true.into()));
    let removed = run(&["remove", "alice", id], &["subject", "factor_id"]);
    assert_eq!(removed["factors"], 0);
    let imported =
        run(&["import", "--format", "sealed", "all.sealed"], &["imported", "already_there", "bad"]);
    assert_eq!(imported["imported"], 1);
    assert_eq!(
        run(&["keys", "rotate"], &["records_resealed", "names", "names_failed"])["key_id"],
        key["key_id"]
    );
    assert_eq!(run(&["disable", "alice"], &["subject"])["factors_removed"], 1);
}

#[test]
fn completions_are_printed_for_each_shell() {
    let stage = Stage::prepared(StoreKind::Embedded);
    for shell in ["bash", "zsh", "fish"] {
        let script = stage.config.run(&["completions", shell]).ok();
        assert!(script.contains("recovery-codes"), "{shell}");
    }
}
