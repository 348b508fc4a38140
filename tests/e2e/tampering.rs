//! Whoever can write to the store can lock people out, and can let nobody in.

use rusqlite::{Connection, types::Value as Sql};
use serde_json::{Value, json};

use crate::support::{
    Challenge, Passcodes, Person, Response, Stage, StoreKind, TokenRequest, assert_challenge, assert_denied,
    assert_token, on_both_stores,
};

fn assert_closed(answer: &Response) {
    assert_denied(answer, 503, "temporarily_unavailable");
}

/// Where the record of alice's one factor lies.
enum Record {
    /// The documented hash and field.
    Redis { key: String, field: String },
    /// The table and column that hold it, found by what they hold.
    Embedded { table: String, column: String, row: i64, text: bool },
}

impl Record {
    fn find(stage: &Stage, person: &Person) -> Self {
        if stage.redis.is_some() {
            let (key, field) = ("tfa:{alice}:enrolment".to_owned(), format!("totp:{}", person.factor_id));
            return Self::Redis { key, field };
        }
        let file = open(stage);
        let mut found = Vec::new();
        for table in strings(&file, "SELECT name FROM sqlite_schema WHERE type = 'table'") {
            for column in strings(&file, &format!("SELECT name FROM pragma_table_info('{table}')")) {
                let query = format!(
                    "SELECT rowid, typeof(\"{column}\") FROM \"{table}\" WHERE CAST(\"{column}\" AS TEXT) LIKE '%\"sealed\"%'"
                );
                if let Ok((row, kind)) =
                    file.query_row(&query, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
                {
                    found.push(Self::Embedded { table: table.clone(), column, row, text: kind == "text" });
                }
            }
        }
        assert_eq!(found.len(), 1, "one sealed record");
        found.remove(0)
    }

    fn read(&self, stage: &Stage) -> String {
        match self {
            Self::Redis { key, field } => redis(stage, &["hget", key, field]),
            Self::Embedded { table, column, row, .. } => {
                let query = format!("SELECT CAST(\"{column}\" AS TEXT) FROM \"{table}\" WHERE rowid = {row}");
                strings(&open(stage), &query).remove(0)
            }
        }
    }

    fn write(&self, stage: &Stage, record: &str) {
        match self {
            Self::Redis { key, field } => drop(redis(stage, &["hset", key, field, record])),
            Self::Embedded { table, column, row, text } => {
                let value = if *text { Sql::Text(record.to_owned()) } else { Sql::Blob(record.into()) };
                let update = format!("UPDATE \"{table}\" SET \"{column}\" = ?1 WHERE rowid = {row}");
                assert_eq!(open(stage).execute(&update, [value]).expect("updated"), 1);
            }
        }
    }

    /// Makes it bob's.
    fn give_to_bob(&self, stage: &Stage) {
        match self {
            Self::Redis { field, .. } => {
                drop(redis(stage, &["hset", "tfa:{bob}:enrolment", field, &self.read(stage)]));
            }
            Self::Embedded { table, row, .. } => {
                let file = open(stage);
                for column in strings(&file, &format!("SELECT name FROM pragma_table_info('{table}')")) {
                    let update = format!(
                        "UPDATE \"{table}\" SET \"{column}\" = 'bob' WHERE rowid = {row} AND \"{column}\" = 'alice'"
                    );
                    if file.execute(&update, []).expect("updated") == 1 {
                        return;
                    }
                }
                panic!("no column of {table} names alice");
            }
        }
    }
}

fn open(stage: &Stage) -> Connection {
    Connection::open(stage.config.dir().join("gateway.db")).expect("the store's file")
}

fn strings(file: &Connection, query: &str) -> Vec<String> {
    let mut statement = file.prepare(query).expect("a query");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("text")).collect()
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
        let place = Record::find(&stage, &alice);
        let record = place.read(&stage);
        for (change, altered) in altered_records(&record) {
            println!("{change}"); // shown when it fails
            place.write(&stage, &altered);
            assert_closed(&stage.send(&TokenRequest::alice()));
            assert_closed(&stage.send(&TokenRequest::alice().code(&alice.code())));
            assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
        }
        place.write(&stage, &record);
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
    }

    fn a_record_that_was_moved_to_another_person_lets_nobody_in(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        Record::find(&stage, &alice).give_to_bob(&stage);
        let bob = TokenRequest::password("bob", "hunter22");
        assert_closed(&stage.send(&bob));
        assert_closed(&stage.send(&bob.code(&alice.code())));
    }

    fn one_bad_record_beside_a_good_one_is_not_passed_over(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        let place = Record::find(&stage, &alice);
        let second = stage.enrol("alice");
        place.write(&stage, "garbage");
        assert_closed(&stage.send(&TokenRequest::alice().code(&second.code())));
    }

    fn a_bad_record_can_be_named_and_cleared_away(store: StoreKind) {
        let (stage, alice) = Stage::with_alice(store);
        Record::find(&stage, &alice).write(&stage, "garbage");
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
fn a_ledger_that_cannot_be_read_accepts_no_code() {
    let (stage, alice) = Stage::with_alice(StoreKind::Redis);
    redis(&stage, &["set", "tfa:{alice}:ledger", "x"]);
    assert_closed(&stage.send(&TokenRequest::alice().code(&alice.code())));
    redis(&stage, &["del", "tfa:{alice}:ledger"]);
    assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
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
