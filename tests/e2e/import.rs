//! Moving in from other systems and out to other gateways, with the command line.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{
    BINARY, Challenge, Passcodes, Ran, Stage, StoreKind, TokenRequest, assert_challenge, assert_token,
    on_both_stores, quietly,
};

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const OTHER: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// Writes a file beside gateway.toml.
fn file(stage: &Stage, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = stage.config.dir().join(name);
    fs::write(&path, text).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

fn import(stage: &Stage, format: &str, file: &str, more: &[&str]) -> Ran {
    stage.config.run(&[&["import", "--format", format, file], more].concat())
}

fn status(stage: &Stage, subject: &str) -> Value {
    stage.config.run(&["status", subject, "--json"]).json()
}

fn lines_of(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/drupal7").join(name)
}

/// On a terminal, which is what `script` makes.
#[test]
fn somebody_who_waits_sees_how_much_of_the_file_is_left() {
    let stage = Stage::serving(StoreKind::Embedded);
    let rows: Vec<String> = (0..200).map(|n| format!("u{n},{SECRET}")).collect();
    let people = file(&stage, "people.csv", format!("subject,secret\n{}\n", rows.join("\n")));
    stage.config.write();
    let config = stage.config.dir().join("gateway.toml");
    let line = format!("{BINARY} import --format csv {people} --config {}", config.display());
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(stage.config.dir());
    stage.clock.apply(&mut terminal);
    let output = terminal.output().expect("a terminal");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains(" %, 0 rows, ") && shown.contains(" left"), "{shown}");
    assert!(shown.contains("200 imported"), "{shown}");
}

on_both_stores! {
    fn an_imported_secret_and_its_recovery_codes_work(store: StoreKind) {
        let stage = Stage::serving(store);
        assert_token(&stage.send(&TokenRequest::alice()));
        let people = file(&stage, "people.csv", format!(
            "subject,secret,label,recovery_codes,enrolled_at\nALICE,{SECRET},phone,abcd-efgh-jkmn;12 345 678,1700000000\n"
        ));
        assert_eq!(import(&stage, "csv", &people, &[]).ok(), "1 imported, 0 were there already, 0 bad\n");
        assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
        let codes = Passcodes::of(SECRET);
        assert_token(&stage.send(&TokenRequest::alice().code(&codes.at(stage.clock.now()))));
        assert_token(&stage.send(&TokenRequest::alice().code("ABCDEFGHJKMN")));
        assert_token(&stage.send(&TokenRequest::alice().code("12345678")));
        assert_challenge(&stage.send(&TokenRequest::alice().code("12345678")), Challenge::WrongCode);
        let report = status(&stage, "alice");
        let factor = &report["factors"][0];
        assert_eq!((&factor["label"], &factor["enrolled_at"]), (&"phone".into(), &1_700_000_000.into()));
        assert!(factor["id"].as_str().expect("an id").starts_with("imp-"), "{factor}");
    }

    fn a_second_run_changes_nothing_and_brings_no_used_code_back(store: StoreKind) {
        let stage = Stage::serving(store);
        let people = file(&stage, "people.csv", format!(
            "subject,secret,recovery_codes\nalice,{SECRET},abcd-efgh-jkmn\nAlice,{OTHER},\nbob,{SECRET},\n"
        ));
        assert_eq!(import(&stage, "csv", &people, &[]).ok(), "3 imported, 0 were there already, 0 bad\n");
        let before = [status(&stage, "alice"), status(&stage, "bob")];
        assert_eq!(before[0]["factors"].as_array().expect("factors").len(), 2);
        assert_token(&stage.send(&TokenRequest::alice().code("abcd-efgh-jkmn")));
        let summary = import(&stage, "csv", &people, &["--json"]).json();
        assert_eq!((&summary["imported"], &summary["already_there"]), (&0.into(), &3.into()), "{summary}");
        assert_eq!(status(&stage, "alice")["recovery_codes"], 0);
        assert_eq!(status(&stage, "alice")["factors"], before[0]["factors"]);
        assert_eq!(status(&stage, "bob")["factors"], before[1]["factors"]);
        let trail = stage.config.run(&["audit", "--json"]).ok();
        let changes: Vec<_> = lines_of(&trail).iter().map(|event| event["change"].clone()).collect();
        assert_eq!(changes, ["imported", "imported", "imported", "imported"]);
        assert!(!trail.contains(SECRET) && !trail.contains("abcd"));
    }

    fn a_secret_that_was_enrolled_by_hand_is_there_already(store: StoreKind) {
        let stage = Stage::prepared(store);
        stage.config.run(&["enrol", "alice", "--secret", SECRET]).ok();
        let uris = file(&stage, "uris.txt", format!("otpauth://totp/X:alice?secret={SECRET}\n"));
        assert_eq!(import(&stage, "otpauth", &uris, &[]).ok(), "0 imported, 1 were there already, 0 bad\n");
    }

    fn bad_rows_are_listed_with_line_and_reason_and_stop_nothing(store: StoreKind) {
        let stage = Stage::prepared(store);
        let text = format!(
            "subject,secret\nalice,{SECRET}\ncarol,not-a-secret!\nbad\u{1}name,{SECRET}\ndave,JBSWY3DP\nbob,{SECRET}\n"
        );
        let people = file(&stage, "people.csv", text);
        let ran = import(&stage, "csv", &people, &[]);
        assert_eq!(ran.status.code(), Some(1));
        let said = ran.refused();
        for wanted in [
            "line 3 (carol): the secret must be base32",
            "line 4 (bad\\u{1}name): the subject ",
            "line 5 (dave): a TOTP secret that is taken over must have 10 to 128 bytes",
            "2 imported, 0 were there already, 3 bad",
            "3 rows are bad",
        ] {
            assert!(said.contains(wanted), "{wanted}\n{said}");
        }
        assert!(!said.contains(SECRET) && !said.contains("not-a-secret") && !said.contains("JBSWY3DP"), "{said}");
        assert_eq!(status(&stage, "bob")["enrolled"], true);
        let ran = import(&stage, "csv", &people, &["--json"]);
        let lines = lines_of(&ran.stdout);
        assert_eq!(lines[0]["subject"], "carol");
        assert_eq!(lines.iter().filter_map(|line| line["line"].as_u64()).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!((&lines[3]["already_there"], &lines[3]["bad"]), (&2.into(), &3.into()));
    }

    fn rows_of_one_subject_keep_their_order(store: StoreKind) {
        let stage = Stage::prepared(store);
        let codes = (0..10).map(|n| format!("abcd-efgh-{n:04}")).collect::<Vec<_>>().join(";");
        let header = String::from("subject,secret,label,recovery_codes\n");
        let both = |n| format!("person{n},{SECRET},phone,{codes}\nPERSON{n},{SECRET},,\n");
        let text = (0..40).map(both).fold(header, |text, rows| text + &rows);
        let people = file(&stage, "people.csv", text);
        assert_eq!(import(&stage, "csv", &people, &[]).ok(), "40 imported, 40 were there already, 0 bad\n");
        for n in 0..40 {
            let report = status(&stage, &format!("person{n}"));
            assert_eq!((&report["factors"][0]["label"], &report["recovery_codes"]), (&"phone".into(), &10.into()));
        }
    }

    fn a_dry_run_says_what_would_be_and_changes_nothing(store: StoreKind) {
        let stage = Stage::prepared(store);
        stage.config.run(&["enrol", "bob", "--secret", SECRET]).ok();
        let people = file(&stage, "people.csv", format!("subject,secret\nalice,{SECRET}\nbob,{SECRET}\ncarol,\n"));
        let said = import(&stage, "csv", &people, &["--dry-run"]).refused();
        assert!(said.contains("1 would be imported, 1 are there already, 1 bad; nothing was changed"), "{said}");
        assert_eq!(status(&stage, "alice")["enrolled"], false);
        assert_eq!(lines_of(&stage.config.run(&["audit", "--json"]).ok()).len(), 1);
    }

    fn a_drupal_site_moves_in_with_recovery_codes(store: StoreKind) {
        let stage = Stage::serving(store);
        let (dump, key) = (data("site.sql"), data("site.key"));
        let (dump, key) = (dump.to_str().expect("UTF-8"), key.to_str().expect("UTF-8"));
        let said = import(&stage, "drupal", dump, &["--key-file", key]).refused();
        assert!(said.contains("3 imported, 0 were there already, 2 bad"), "{said}");
        assert!(said.contains("3 of the secrets are shorter than the 128 bits"), "{said}");
        let now = stage.clock.now();
        assert_token(&stage.send(&TokenRequest::alice().code(&Passcodes::of("GEZDGNBVGY3TQOJQGEZDGNBV").at(now))));
        assert_token(&stage.send(&TokenRequest::alice().code("123 45 678")));
        assert_challenge(&stage.send(&TokenRequest::alice().code("234 56 789")), Challenge::WrongCode);
        assert_eq!(status(&stage, "Bob O'Neill")["recovery_codes"], 1);
        let again = import(&stage, "drupal", dump, &["--key-file", key]).refused();
        assert!(again.contains("0 imported, 3 were there already, 2 bad"), "{again}");
    }

    fn a_step_that_the_other_system_accepted_is_not_accepted_again(store: StoreKind) {
        let stage = Stage::serving(store);
        let now = stage.clock.now();
        let at = jiff_text(now);
        let secret = data_encoding::BASE64.encode(SECRET.as_bytes());
        let yaml = format!(
            "totp_configurations:\n- username: alice\n  algorithm: SHA1\n  digits: 6\n  period: 300\n  secret: {secret}\n  \
             last_used_at: {at}\n"
        );
        let export = file(&stage, "authelia.yml", yaml);
        import(&stage, "authelia", &export, &[]).ok();
        let code = Passcodes::of(SECRET).with("sha1", 6, 300).at(now);
        assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::UsedCode);
    }

    fn a_plain_export_is_asked_for_twice_and_is_read_by_its_owner_alone(store: StoreKind) {
        let stage = Stage::prepared(store);
        let alice = stage.enrol("alice");
        let refused = stage.config.run(&["export", "--plain"]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(!refused.refused().contains(&alice.secret));
        stage.config.run(&["export", "--plain", "--yes-secrets-in-clear", "--output", "out.txt"]).ok();
        let out = stage.config.dir().join("out.txt");
        assert_eq!(fs::metadata(&out).expect("a file").permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&out).expect("a file");
        assert!(text.starts_with("alice\totpauth://totp/") && text.contains(&alice.secret), "{text}");
        assert_eq!(import(&stage, "otpauth", "out.txt", &[]).ok(), "0 imported, 1 were there already, 0 bad\n");
        let trail = lines_of(&stage.config.run(&["audit", "--json"]).ok());
        assert_eq!((&trail[0]["change"], &trail[0]["object"]), (&"exported".into(), &"plain".into()));
    }
}

#[test]
fn a_sealed_export_moves_from_redis_to_the_embedded_store() {
    let old = Stage::prepared(StoreKind::Redis);
    let alice = old.enrol("alice");
    let more = file(&old, "more.csv", format!("subject,secret,label\nAlice,{SECRET},tablet\nbob,{OTHER},\n"));
    import(&old, "csv", &more, &[]).ok();
    let codes = old.config.run(&["recovery-codes", "alice", "--json"]).json();
    let code = codes["recovery_codes"][0].as_str().expect("a code");
    old.config.run(&["alias", "alice@example.org", "alice"]).ok();
    old.config.run(&["export", "--output", "all.sealed"]).ok();
    let sealed = old.config.dir().join("all.sealed");
    assert_eq!(fs::metadata(&sealed).expect("a file").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&sealed).expect("a file");
    assert!(!text.contains("alice") && !text.contains(&alice.secret) && text.lines().count() == 6, "{text}");

    let mut new = Stage::prepared(StoreKind::Embedded);
    let sealed = sealed.to_str().expect("UTF-8");
    new.config.run(&["keys", "generate"]).ok();
    let closed = import(&new, "sealed", sealed, &[]).refused();
    assert!(closed.contains("it is sealed with key") && !closed.contains("too early"), "{closed}");
    fs::copy(old.config.key_file(), new.config.key_file()).expect("copied");
    assert_eq!(import(&new, "sealed", sealed, &[]).ok(), "4 imported, 0 were there already, 0 bad\n");
    assert_eq!(import(&new, "sealed", sealed, &[]).ok(), "0 imported, 4 were there already, 0 bad\n");
    new.serve();
    let same = ["factors", "recovery_codes"];
    for member in same {
        let (before, after) = (&status(&old, "alice")[member], &status(&new, "alice")[member]);
        assert_eq!(before, after);
    }
    assert_eq!(status(&new, "alice@example.org")["alias_of"], "alice");
    assert_token(&new.send(&TokenRequest::alice().code(&alice.code())));
    assert_token(&new.send(&TokenRequest::alice().code(code)));
    assert_challenge(&new.send(&TokenRequest::alice().code(code)), Challenge::WrongCode);

    let cut: String = text.split_inclusive('\n').take(3).collect();
    let cut = file(&new, "cut.sealed", cut);
    let said = import(&new, "sealed", &cut, &[]).refused();
    assert!(said.contains("the file ends too early"), "{said}");
}

#[test]
fn an_import_ends_with_the_store_and_not_with_bad_rows() {
    let mut stage = Stage::prepared(StoreKind::Redis);
    let people = file(&stage, "people.csv", format!("subject,secret\nalice,{SECRET}\nbob,{SECRET}\n"));
    stage.redis().kill();
    stage.config.set("store.timeout_ms", "500");
    let said = import(&stage, "csv", &people, &[]).refused();
    assert!(said.contains("a further run does the rest") && !said.contains("line 2"), "{said}");
    stage.redis().restart();
    stage.config.set("store.timeout_ms", "30000");
    assert_eq!(import(&stage, "csv", &people, &[]).ok(), "2 imported, 0 were there already, 0 bad\n");
}

#[test]
fn a_file_that_is_not_there_and_an_option_of_another_format_are_said() {
    let stage = Stage::prepared(StoreKind::Embedded);
    stage.enrol("bob");
    assert!(import(&stage, "csv", "nowhere.csv", &[]).refused().contains("nowhere.csv cannot be read"));
    assert_eq!(import(&stage, "drupal", "site.sql", &[]).status.code(), Some(2));
    let people = file(&stage, "people.csv", format!("subject,secret\nalice,{SECRET}\n"));
    let said = import(&stage, "csv", &people, &["--users", "users.csv"]).refused();
    assert!(said.contains("belong to --format drupal"), "{said}");
    assert_eq!(status(&stage, "alice")["enrolled"], false);
}

#[test]
fn an_export_names_the_records_that_do_not_open_and_writes_the_rest() {
    let mut stage = Stage::prepared(StoreKind::Redis);
    let alice = stage.enrol("alice");
    stage.redis().cli(&["HSET", "tfa:{bob}:enrolment", "totp:f1", "nonsense"]);
    let ran = stage.config.run(&["export", "--plain", "--yes-secrets-in-clear"]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(ran.stdout.starts_with("alice\totpauth://") && ran.stdout.contains(&alice.secret), "{ran:?}");
    assert!(ran.stderr.contains("bob: ") && ran.stderr.contains("of 1 name cannot be opened"), "{ran:?}");
    assert!(!ran.stderr.contains(&alice.secret), "{ran:?}");
}

#[test]
fn an_export_into_a_directory_that_is_not_there_names_its_file() {
    let stage = Stage::prepared(StoreKind::Embedded);
    stage.enrol("alice");
    let said = stage.config.run(&["export", "--output", "nowhere/all.sealed"]).refused();
    assert!(said.contains("nowhere/all.sealed cannot be written") && !said.contains(".tmp"), "{said}");
}

#[test]
fn ctrl_c_ends_an_import_and_a_further_run_does_the_rest() {
    let stage = Stage::prepared(StoreKind::Embedded);
    let rows = format!("subject,secret\nalice,{SECRET}\nbob,{SECRET}\n");
    stage.enrol("zoe");
    // Each command of the stage writes gateway.toml anew, and this one must not read half of it.
    fs::copy(stage.config.dir().join("gateway.toml"), stage.config.dir().join("own.toml")).expect("copied");
    let mut child = Command::new(BINARY)
        .args(["import", "--format", "csv", "-", "--config", "own.toml"])
        .current_dir(stage.config.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(rows.as_bytes()).expect("written");
    let is_done = || status(&stage, "bob")["enrolled"] == true;
    let waited = (0..500).any(|_| is_done() || !matches!(child.try_wait(), Ok(None)));
    assert!(waited, "two rows are imported while the third is waited for");
    quietly(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let ended = child.wait_with_output().expect("ended");
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("2 imported") && said.contains("a further run does the rest"), "{said}");
    drop(input);
    let people = file(&stage, "people.csv", format!("{rows}carol,{SECRET}\n"));
    assert_eq!(import(&stage, "csv", &people, &[]).ok(), "1 imported, 2 were there already, 0 bad\n");
}

#[test]
fn an_export_that_is_stopped_leaves_no_secret_behind() {
    let stage = Stage::prepared(StoreKind::Redis);
    stage.enrol("alice");
    fs::copy(stage.config.dir().join("gateway.toml"), stage.config.dir().join("own.toml")).expect("copied");
    let files = || {
        let names = fs::read_dir(stage.config.dir()).expect("a directory").flatten();
        names.map(|entry| entry.file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    let before = files();
    for signal in ["-INT", "-TERM", "-HUP", "-QUIT"] {
        stage.redis.as_ref().expect("a Redis").freeze();
        let mut child = Command::new(BINARY)
            .args([
                "export",
                "--plain",
                "--yes-secrets-in-clear",
                "--output",
                "out.txt",
                "--config",
                "own.toml",
            ])
            .current_dir(stage.config.dir())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let has_begun = (0..1_000_000).any(|_| {
            std::thread::yield_now();
            files() != before || !matches!(child.try_wait(), Ok(None))
        });
        assert!(has_begun && files() != before, "the file is made before the store answers");
        quietly(Command::new("kill").args([signal, &child.id().to_string()]));
        let ended = child.wait_with_output().expect("ended");
        stage.redis.as_ref().expect("a Redis").thaw();
        assert_eq!(ended.status.code(), Some(1), "{signal}: {ended:?}");
        assert!(String::from_utf8_lossy(&ended.stderr).contains("is not whole"), "{ended:?}");
        assert_eq!(files(), before, "{signal}");
    }
    stage.config.run(&["export", "--plain", "--yes-secrets-in-clear", "--output", "out.txt"]).ok();
}

#[test]
fn ctrl_c_ends_a_rotation_and_a_further_run_does_the_rest() {
    let stage = Stage::prepared(StoreKind::Redis);
    let rows: Vec<_> = (0..1000).map(|n| format!("person-{n},{SECRET}\n")).collect();
    let people = file(&stage, "people.csv", format!("subject,secret\n{}", rows.concat()));
    import(&stage, "csv", &people, &[]).ok();
    let new = stage.config.run(&["keys", "generate", "--json"]).json();
    let new = new["key_id"].as_str().expect("an id").to_owned();
    fs::copy(stage.config.dir().join("gateway.toml"), stage.config.dir().join("own.toml")).expect("copied");
    let child = Command::new(BINARY)
        .args(["keys", "rotate", "--config", "own.toml"])
        .current_dir(stage.config.dir())
        .stdout(Stdio::null())
        .spawn();
    let mut child = child.expect("started");
    let is_resealed = |n: u32| {
        stage
            .redis
            .as_ref()
            .expect("a Redis")
            .cli(&["HVALS", &format!("tfa:{{person-{n}}}:enrolment")])
            .contains(&new)
    };
    let has_begun = (0..10_000).any(|n| is_resealed(n % 1000) || !matches!(child.try_wait(), Ok(None)));
    assert!(has_begun);
    quietly(Command::new("sh").args(["-c", &format!("kill -INT {} || true", child.id())]));
    child.wait().expect("ended");
    let rest = stage.config.run(&["keys", "rotate", "--json"]).json();
    assert_eq!((&rest["names"], &rest["names_failed"]), (&1000.into(), &0.into()), "{rest}");
    let again = stage.config.run(&["keys", "rotate", "--json"]).json();
    assert_eq!((&again["key_id"], &again["records_resealed"]), (&new.as_str().into(), &0.into()), "{again}");
    let said = stage.config.run(&["status", "person-999", "--json"]).json();
    assert_eq!(
        (&said["enrolled"], &said["factors"][0]["key_id"]),
        (&true.into(), &new.as_str().into()),
        "{said}"
    );
}

/// A time as Authelia writes it.
fn jiff_text(secs: u64) -> String {
    jiff::Timestamp::from_second(i64::try_from(secs).expect("a time")).expect("a time").to_string()
}

/// Under which names people would be found is what there is to check before they are imported.
#[test]
fn a_dry_run_says_what_would_be_done_with_each_row() {
    let stage = Stage::prepared(StoreKind::Embedded);
    stage.enrol("bob");
    let rows = format!("subject,secret\nMary,{SECRET}\nzoe,{SECRET}\nann,{SECRET},1\n");
    let people = file(&stage, "people.csv", rows);
    let ran = import(&stage, "csv", &people, &["--dry-run"]);
    assert!(ran.stdout.contains("line 2: Mary would be imported, as maru"), "{ran:?}");
    assert!(ran.stdout.contains("line 3: zoe would be imported\n"), "{ran:?}");
    assert!(ran.stderr.contains("line 4") && ran.stderr.contains("more fields than"), "{ran:?}");
    let ran = import(&stage, "csv", &people, &["--dry-run", "--json"]);
    assert!(ran.stdout.contains(r#"{"line":2,"name":"Mary","subject":"maru","would":"import"}"#), "{ran:?}");
    assert_eq!(status(&stage, "zoe")["enrolled"], false);
}
