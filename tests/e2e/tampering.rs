//! Whoever can write to the store can lock people out, and can let nobody in.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{
    Challenge, Passcodes, Person, Response, Stage, StoreKind, TokenRequest, assert_challenge, assert_denied,
    assert_token, on_both_stores,
};

fn assert_closed(answer: &Response) {
    assert_denied(answer, 503, "temporarily_unavailable");
}

/// Where the record of alice's one factor lies.
struct Record<'a> {
    stage: &'a Stage,
    factor_id: &'a str,
}

impl<'a> Record<'a> {
    fn of(stage: &'a Stage, alice: &'a Person) -> Self {
        Self { stage, factor_id: &alice.factor_id }
    }

    fn field(&self) -> String {
        format!("totp:{}", self.factor_id)
    }

    fn read(&self) -> String {
        if self.stage.redis.is_some() {
            return redis(self.stage, &["hget", "tfa:{alice}:enrolment", &self.field()]);
        }
        let query = "SELECT CAST(record AS TEXT) FROM factors WHERE subject = 'alice' AND factor_id = ?1";
        open(self.stage).query_row(query, [self.factor_id], |row| row.get(0)).expect("a record")
    }

    fn write(&self, record: &str) {
        self.write_for("alice", record);
    }

    fn write_for(&self, subject: &str, record: &str) {
        if self.stage.redis.is_some() {
            redis(self.stage, &["hset", &format!("tfa:{{{subject}}}:enrolment"), &self.field(), record]);
        } else {
            let insert = "INSERT OR REPLACE INTO factors (subject, factor_id, record) VALUES (?1, ?2, ?3)";
            open(self.stage).execute(insert, (subject, self.factor_id, record.as_bytes())).expect("written");
        }
    }
}

fn open(stage: &Stage) -> Connection {
    Connection::open(stage.config.dir().join("gateway.db")).expect("the store's file")
}

fn redis(stage: &Stage, arguments: &[&str]) -> String {
    stage.redis.as_ref().expect("a stage on Redis").cli(arguments)
}

/// A character in the middle of a Base64 text becomes another one.
fn altered(text: &Value) -> Value {
    let mut bytes = text.as_str().expect("text").to_owned().into_bytes();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("ASCII").into()
}

/// A record, altered in every way that could weaken it or make it unreadable.
fn altered_records(record: &str) -> Vec<(String, String)> {
    let parsed: Value = serde_json::from_str(record).expect("a JSON record");
    let with = |field: &str, value: Value| {
        let mut changed = parsed.clone();
        changed[field] = value;
        (format!("{field} changed"), changed.to_string())
    };
    let mut without_secret = parsed.clone();
    without_secret.as_object_mut().expect("an object").remove("sealed");
    vec![
        with("sealed", altered(&parsed["sealed"])),
        with("sealed", json!("")),
        with("nonce", altered(&parsed["nonce"])),
        with("kid", json!("no-such-key")),
        with("kid", json!(null)),
        with("alg", json!("SHA512")),
        with("digits", json!(8)),
        with("period", json!(300)),
        with("skew", json!(5)),
        with("v", json!(2)),
        with("type", json!("none")),
        with("label", json!("not mine")),
        with("totp_secret", json!("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")),
        ("no secret".to_owned(), without_secret.to_string()),
        ("half of it".to_owned(), record[..record.len() / 2].to_owned()),
        ("another JSON value".to_owned(), "[]".to_owned()),
        ("garbage".to_owned(), "garbage".to_owned()),
        ("nothing".to_owned(), String::new()),
    ]
}

on_both_stores! {
    fn an_altered_record_lets_nobody_in(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let place = Record::of(&stage, &alice);
        let record = place.read();
        for (change, altered) in altered_records(&record) {
            println!("{change}"); // shown when it fails
            place.write(&altered);
            assert_closed(&stage.send(&TokenRequest::alice()));
            assert_closed(&stage.send(&TokenRequest::alice().code(&alice.code())));
            assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
        }
        place.write(&record);
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
    }

    fn a_record_that_was_moved_to_another_person_lets_nobody_in(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let place = Record::of(&stage, &alice);
        place.write_for("bob", &place.read());
        let bob = TokenRequest::password("bob", "hunter22");
        assert_closed(&stage.send(&bob));
        assert_closed(&stage.send(&bob.code(&alice.code())));
    }

    fn one_bad_record_beside_a_good_one_is_not_passed_over(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let second = stage.enrol("alice");
        Record::of(&stage, &alice).write("garbage");
        assert_closed(&stage.send(&TokenRequest::alice().code(&second.code())));
    }

    fn a_ledger_that_cannot_be_read_accepts_no_code(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        if stage.redis.is_some() {
            redis(&stage, &["set", "tfa:{alice}:ledger", "x"]);
        } else {
            let insert = "INSERT OR REPLACE INTO ledger (subject, state) VALUES ('alice', 'x')";
            open(&stage).execute(insert, []).expect("written");
        }
        assert_closed(&stage.send(&TokenRequest::alice().code(&alice.code())));
        assert_closed(&stage.send(&TokenRequest::alice().code(&alice.wrong_code())));
        assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
    }

    fn a_bad_record_can_be_named_and_cleared_away(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        Record::of(&stage, &alice).write("garbage");
        let said = stage.config.run(&["status", "alice"]);
        assert!((said.stdout + &said.stderr).contains(&alice.factor_id));
        stage.config.run(&["disable", "alice"]).ok();
        assert_token(&stage.send(&TokenRequest::alice()));
    }
}

#[test]
fn a_key_of_another_type_is_no_absent_enrolment() {
    let (stage, alice) = Stage::with_alice(StoreKind::Redis);
    for command in [
        ["set", "tfa:{alice}:enrolment", "x"].as_slice(),
        &["rpush", "tfa:{alice}:enrolment", "x"],
        &["hset", "tfa:{alice}:enrolment", "totp:No Such Name!", "x"],
    ] {
        redis(&stage, &["del", "tfa:{alice}:enrolment"]);
        redis(&stage, command);
        assert_closed(&stage.send(&TokenRequest::alice()));
        assert_closed(&stage.send(&TokenRequest::alice().code(&alice.code())));
    }
}

#[test]
fn a_plain_secret_is_honoured_only_where_the_configuration_allows_it() {
    let mut stage = Stage::serving(StoreKind::Redis);
    let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    redis(&stage, &["hset", "tfa:{alice}:enrolment", "totp_secret", secret]);
    let codes = Passcodes::of(secret);
    assert_closed(&stage.send(&TokenRequest::alice()));
    assert_closed(&stage.send(&TokenRequest::alice().code(&codes.at(stage.clock.now()))));

    stage.config.set("store.plain_secrets", "true");
    stage.serve();
    assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
    let code = codes.at(stage.clock.now());
    assert_token(&stage.send(&TokenRequest::alice().code(&code)));
    assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::UsedCode);

    redis(&stage, &["hset", "tfa:{alice}:enrolment", "totp_secret", "not base32!"]);
    assert_closed(&stage.send(&TokenRequest::alice().code(&codes.steps_after(stage.clock.now(), 1))));
}
