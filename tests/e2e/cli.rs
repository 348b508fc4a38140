//! The command line, also beside a serving gateway.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use crate::support::{
    BINARY, Challenge, Stage, StoreKind, TokenRequest, assert_challenge, assert_token, on_both_stores,
};

/// As `head` does.
#[test]
fn whoever_has_read_enough_gets_no_complaint() {
    let stage = Stage::serving(StoreKind::Embedded);
    stage.config.write();
    let config = stage.config.dir().join("gateway.toml");
    for command in ["check-config", "completions bash", "list", "audit"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut gateway = Command::new(BINARY);
        gateway.args(command.split(' ')).arg("--config").arg(&config).current_dir(stage.config.dir());
        stage.clock.apply(&mut gateway);
        let ended = gateway.stdout(writer).stderr(Stdio::piped()).output().expect("it runs");
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{command}");
        assert!(ended.status.success(), "{command}");
    }
}

on_both_stores! {
    fn enrolling_beside_a_serving_gateway_takes_effect_at_once(store: StoreKind) {
        let stage = Stage::serving(store);
        assert_token(&stage.send(&TokenRequest::alice()));
        let alice = stage.enrol("alice");
        assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
    }

    fn disabling_beside_a_serving_gateway_takes_effect_at_once(store: StoreKind) {
        let (stage, _) = Stage::with_alice(store);
        assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
        stage.config.run(&["disable", "alice"]).ok();
        assert_token(&stage.send(&TokenRequest::alice()));
    }

    fn status_shows_factors_and_failures_and_no_secret(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        for code in alice.wrong_codes(2) {
            stage.send(&TokenRequest::alice().code(&code));
        }
        let status = stage.config.run(&["status", "alice", "--json"]).json();
        assert_eq!(status["subject"], "alice");
        assert_eq!(status["enrolled"], true);
        assert_eq!(status["factors"].as_array().expect("factors").len(), 1, "{status:#}");
        assert!(status["factors"][0].to_string().contains(&alice.factor_id), "{status:#}");
        assert_eq!(status["failures_in_a_row"], 2, "{status:#}");
        assert!(!status.to_string().contains(&alice.secret), "{status:#}");
        let in_words = stage.config.run(&["status", "alice"]).ok();
        assert!(in_words.contains(&alice.factor_id), "{in_words}");
        assert!(!in_words.contains(&alice.secret), "{in_words}");

        let status = stage.config.run(&["status", "bob", "--json"]).json();
        assert_eq!(status["enrolled"], false);
    }

    fn enrolling_prints_a_qr_code_the_uri_and_the_secret(store: StoreKind) {
        let stage = Stage::prepared(store);
        let printed = stage.config.run(&["enrol", "alice"]).ok();
        assert!(printed.contains("otpauth://totp/"), "{printed}");
        assert!(printed.contains('█') || printed.contains('▀'), "{printed}");
    }

    fn a_secret_that_is_too_short_or_no_base32_is_refused_and_not_echoed(store: StoreKind) {
        let stage = Stage::prepared(store);
        for secret in ["JBSWY3DPEHPK3PXP", "not!base32!not!base32!not!base32"] {
            let said = stage.config.run(&["enrol", "alice", "--secret", secret]).refused();
            assert!(!said.contains(secret), "{said}");
        }
        stage.enrol("bob");
        assert_eq!(stage.config.run(&["status", "alice", "--json"]).json()["enrolled"], false);
    }
}

#[test]
fn check_config_reports_every_fault_with_key_rule_and_value() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let faults = [
        ("factor.totp.digits", "17"),
        ("factor.totp.period_secs", "1"),
        ("factor.totp.algorithm", "\"MD5\""),
        ("upstream.url", "\"ftp://legacy.test\""),
        ("listen.address", "\"nowhere\""),
        ("log.level", "\"loud\""),
        ("store.url", "\"mysql://legacy.test\""),
        ("listen.no_such_key", "true"),
        ("no_such_section.key", "1"),
    ];
    for (key, value) in faults {
        stage.config.set(key, value);
    }
    for command in [["check-config"].as_slice(), &["serve"], &["enrol", "alice"]] {
        let ran = stage.config.run(command);
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
        let said = ran.refused();
        for (key, value) in faults {
            let last = key.rsplit('.').next().expect("a name");
            let named = if key.starts_with("no_such_section") { "no_such_section" } else { last };
            assert!(said.contains(named), "{key} is not named:\n{said}");
            // The value of a URL is not shown: a password may be in it.
            if !key.contains("no_such") && !key.ends_with("url") {
                let value = value.trim_matches('"');
                assert!(said.contains(value), "the value of {key} is not shown:\n{said}");
            }
        }
    }
}

#[test]
fn check_config_does_not_echo_the_password_of_a_store() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.set_text("store.url", "redis://gateway:pr1vate@127.0.0.1:notaport");
    let said = stage.config.run(&["check-config"]).refused();
    assert!(said.contains("store.url"), "{said}");
    assert!(!said.contains("pr1vate"), "{said}");
}

#[test]
fn check_config_is_content_with_a_good_file() {
    let stage = Stage::prepared(StoreKind::Redis);
    stage.config.run(&["check-config"]).ok();
}

#[test]
fn the_environment_overrides_the_file() {
    let (mut stage, _) = Stage::with_alice(StoreKind::Embedded);
    stage.config.set_text("upstream.url", "http://127.0.0.1:1");
    stage.config.set_env("TFA_GATEWAY_UPSTREAM__URL", &stage.upstream.url());
    stage.serve();
    assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
    stage.config.set_env("TFA_GATEWAY_GRANTS__GATED", r#"["password"]"#);
    stage.config.run(&["check-config"]).ok();
    stage.config.set_env("TFA_GATEWAY_GRANTS__PASSED", "refresh");
    let said = stage.config.run(&["check-config"]).refused();
    assert!(said.contains("grants.passed: must be a list of texts, such as [\"password\"]"), "{said}");
    stage.config.set_env("TFA_GATEWAY_GRANTS__PASSED", "[]");
    stage.config.set_env("TFA_GATEWAY_FACTOR__TOTP__DIGITS", "17");
    let said = stage.config.run(&["check-config"]).refused();
    assert!(said.contains("digits") && said.contains("17"), "{said}");
}

#[test]
fn the_key_file_of_an_embedded_store_is_made_at_first_use_for_its_owner_only() {
    let stage = Stage::prepared(StoreKind::Embedded);
    stage.enrol("alice");
    let mode = fs::metadata(stage.config.key_file()).expect("a key file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    for store in [StoreKind::Redis, StoreKind::Embedded] {
        let stage = Stage::prepared(store);
        stage.enrol("alice");
        for mode in [0o644, 0o640, 0o604] {
            fs::set_permissions(stage.config.key_file(), fs::Permissions::from_mode(mode)).expect("chmod");
            let said = stage.config.run(&["serve"]).refused();
            assert!(said.contains("sealing.keys") && said.contains("0600"), "{said}");
        }
    }
}

#[test]
fn without_a_key_file_nothing_starts_on_redis_and_the_message_says_what_to_run() {
    let stage = Stage::prepared(StoreKind::Redis);
    fs::remove_file(stage.config.key_file()).expect("removed");
    for command in [["serve"].as_slice(), &["enrol", "alice"]] {
        let said = stage.config.run(command).refused();
        assert!(said.contains("tfa-gateway keys generate"), "{said}");
    }
    assert!(!stage.config.key_file().exists(), "it made up a key of its own");
}

/// A mistyped path, or another directory, would be a store in which nobody is enrolled.
#[test]
fn a_store_that_is_not_there_is_not_made_by_looking() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.set_text("store.url", "embedded:mistyped.db");
    for arguments in
        [&["status", "alice"][..], &["list"], &["audit"], &["unlock", "alice"], &["disable", "alice"]]
    {
        let said = stage.config.run(arguments).refused();
        assert!(said.contains("there is no store yet at") && said.contains("mistyped.db"), "{said}");
    }
    assert!(!stage.config.dir().join("mistyped.db").exists());
    assert!(!stage.config.key_file().exists());
}

/// What `serve` refuses, `check-config` refuses in the same words; and it makes nothing.
#[test]
fn check_config_refuses_what_serve_refuses() {
    let dir = |stage: &Stage| {
        let listed = fs::read_dir(stage.config.dir()).expect("a directory");
        let mut names: Vec<_> = listed.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort_unstable();
        names
    };
    let without_keys = Stage::prepared(StoreKind::Embedded);
    without_keys.enrol("alice");
    fs::remove_file(without_keys.config.key_file()).expect("removed");
    let mut elsewhere = Stage::prepared(StoreKind::Embedded);
    elsewhere.config.set_text("store.url", "embedded:nowhere/gateway.db");
    let mut no_audit = Stage::prepared(StoreKind::Embedded);
    no_audit.config.set_text("audit.to", "file");
    no_audit.config.set_text("audit.file", "nowhere/audit.log");
    let mut lost = Stage::prepared(StoreKind::Embedded);
    lost.config.set("store.must_exist", "true");
    let mut foreign = Stage::prepared(StoreKind::Embedded);
    fs::write(foreign.config.dir().join("text.db"), "no database at all, and longer than a header")
        .expect("written");
    fs::set_permissions(foreign.config.dir().join("text.db"), fs::Permissions::from_mode(0o600))
        .expect("chmod");
    foreign.config.set_text("store.url", "embedded:text.db");
    for (stage, expected) in [
        (without_keys, "the key file"),
        (elsewhere, "nowhere/gateway.db cannot be opened; does its directory exist"),
        (no_audit, "nowhere/audit.log ([audit] file) cannot be opened: No such file or directory"),
        (lost, "must_exist = true"),
        (foreign, "text.db cannot be used"),
    ] {
        stage.config.write();
        let before = dir(&stage);
        let checked = stage.config.run(&["check-config"]).refused();
        assert!(checked.contains("the gateway would not start") && checked.contains(expected), "{checked}");
        assert_eq!(dir(&stage), before, "{expected}");
        let served = stage.config.run(&["serve"]).refused();
        assert!(served.contains("cannot serve") && served.contains(expected), "{served}");
    }
}

#[test]
fn check_config_shows_what_serve_warns_of() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.run(&["keys", "generate"]).ok();
    stage.config.set_text("enforcement.mode", "audit-only");
    stage.config.set("policy", r#"[{ name = "all", then = "exempt" }, { then = "require" }]"#);
    let shown = stage.config.run(&["check-config"]).ok();
    stage.serve();
    let log = stage.stop_gateway();
    for wanted in
        ["nothing is enforced", "the rule 'all' ([[policy]]) has no condition", "yet there is a key file"]
    {
        assert!(
            shown.contains(&format!("WARNING      {wanted}")) || shown.contains(wanted),
            "{wanted}: {shown}"
        );
        assert_eq!(log.matches(wanted).count(), 1, "{wanted}: {log}");
    }
    // The last rule may be for everybody.
    stage
        .config
        .set("policy", r#"[{ subjects = ["bob"], then = "require" }, { name = "all", then = "exempt" }]"#);
    assert!(!stage.config.run(&["check-config"]).ok().contains("the rule 'all'"));
}

#[test]
fn a_gateway_that_is_started_on_an_empty_redis_warns() {
    let mut stage = Stage::serving(StoreKind::Redis);
    stage.gateway().wait_for("nobody is enrolled in this Redis");
    stage.enrol("alice");
    stage.serve();
    assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
    let log = stage.stop_gateway();
    assert!(!log.contains("nobody is enrolled"), "{log}");
}

#[test]
fn a_key_is_made_where_nothing_but_the_key_file_is_known() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let alone = stage.config.run(&["keys", "generate"]).ok();
    assert!(!alone.contains("every gateway"), "{alone}");
    for key in ["upstream.url", "store.url", "store.timeout_ms"] {
        stage.config.unset(key);
    }
    let said = stage.config.run(&["keys", "generate"]).ok();
    assert!(said.contains("Copy it to every gateway before anybody is enrolled"), "{said}");
    stage.config.unset("sealing.key_file");
    let said = stage.config.run(&["keys", "generate"]).refused();
    assert!(said.contains("set it, such as key_file = \"tfa-gateway.keys\""), "{said}");
}

#[test]
fn that_there_is_no_configuration_is_said() {
    let stage = Stage::prepared(StoreKind::Embedded);
    let empty = stage.config.dir().join("empty");
    fs::create_dir(&empty).expect("made");
    let ran = Command::new(BINARY).arg("check-config").current_dir(empty).env_clear().output().expect("ran");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("gateway.toml: is not in this directory: say --config FILE"), "{said}");
    assert_eq!(ran.status.code(), Some(2));
}

#[test]
fn a_value_that_does_not_suit_is_a_wrong_argument() {
    let stage = Stage::prepared(StoreKind::Embedded);
    stage.enrol("bob");
    for arguments in [
        &["enrol", ""][..],
        &["enrol", "alice", "--secret", "1"],
        &["remove", "alice", "No Id"],
        &["api-token", "a b"],
        &["explain", "--subject", "alice", "--at", "2026-12-24"],
    ] {
        let ran = stage.config.run(arguments);
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
        assert!(
            !arguments.contains(&"--at") || ran.stderr.contains("such as 2026-12-24T22:00:00Z"),
            "{ran:?}"
        );
    }
}

#[test]
fn an_unreachable_redis_is_said_once() {
    let mut stage = Stage::prepared(StoreKind::Redis);
    stage.redis().kill();
    let said = stage.config.run(&["status", "alice"]).refused();
    assert_eq!(said.matches("Connection refused").count(), 1, "{said}");
}
