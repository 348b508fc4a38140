//! Audit events as JSON lines: to every target, as the schema has them, and with nothing in them that is secret.

use std::{fs, path::Path, process::Command, time::Instant};

use serde_json::Value;

use crate::support::{PATIENCE, Stage, StoreKind, TokenRequest, exchange, get, quietly};

/// One of each kind of grant that a few requests make.
fn make_events(stage: &Stage, code: &str) {
    let traced = TokenRequest::alice()
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("User-Agent", "x");
    stage.send(&traced);
    stage.send(&TokenRequest::alice().code("000000"));
    stage.send(&TokenRequest::alice().code(code));
    stage.send(&TokenRequest::alice().code(code));
    stage.send(&TokenRequest::password("alice", "hunter2-wrong"));
    stage.send(&TokenRequest::password("bob", "hunter22"));
}

const OUTCOMES: [&str; 6] = [
    "passcode_wanted",
    "wrong_passcode",
    "released_with_factor",
    "used_passcode",
    "upstream_refused",
    "released_without_factor",
];

/// Validates lines against the schema with a validator that is not ours.
fn validated(dir: &Path, lines: &str) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = dir.join("events.jsonl");
    fs::write(&file, lines).expect("written");
    let program = "import json, sys, jsonschema_rs\n\
                   schema = json.load(open(sys.argv[1]))\n\
                   check = jsonschema_rs.Draft202012Validator(schema)\n\
                   for line in open(sys.argv[2]): check.validate(json.loads(line))\n";
    let mut python = Command::new(root.join("tests/.work/venv/bin/python"));
    quietly(python.args(["-c", program]).arg(root.join("docs/audit-event.schema.json")).arg(&file));
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn assert_events(dir: &Path, lines: &str, code: &str) {
    let events = validated(dir, lines);
    let outcomes: Vec<_> = events.iter().filter_map(|event| event["outcome"].as_str()).collect();
    assert_eq!(outcomes, OUTCOMES, "{lines}");
    assert_eq!(events[0]["subject"], "alice");
    assert_eq!((&events[0]["client_id"], &events[0]["client"]), (&"testclient".into(), &"127.0.0.1".into()));
    assert_eq!(events[0]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert!(events[2]["factor"].is_string() && events[4].get("subject").is_none(), "{lines}");
    for secret in [code, "passw0rd", "hunter2", "testpass", "access_token"] {
        assert!(!lines.contains(secret), "{secret} is in {lines}");
    }
}

fn until_lines(count: usize, read: impl Fn() -> String) -> String {
    let start = Instant::now();
    loop {
        let text = read();
        if text.lines().count() >= count {
            return text;
        }
        assert!(start.elapsed() < PATIENCE, "{text}");
    }
}

#[test]
fn events_are_written_to_a_file_as_the_schema_has_them() {
    let (mut stage, alice) = Stage::with_alice(StoreKind::Embedded);
    stage.config.set_text("audit.to", "file");
    stage.config.set_text("audit.file", "audit.log");
    stage.serve();
    let code = alice.code();
    make_events(&stage, &code);
    let file = stage.config.dir().join("audit.log");
    let log = stage.stop_gateway();
    // All that was recorded is there when the gateway has ended.
    let lines = fs::read_to_string(file).expect("the file");
    assert_events(stage.config.dir(), &lines, &code);
    assert!(!log.contains("passcode_wanted"), "{log}");
}

#[test]
fn events_are_written_to_standard_output() {
    let (mut stage, alice) = Stage::with_alice(StoreKind::Embedded);
    stage.config.set_text("audit.to", "stdout");
    stage.serve();
    let code = alice.code();
    make_events(&stage, &code);
    let dir = stage.config.dir().to_owned();
    // Whoever reads them there meets nothing else.
    let lines = until_lines(OUTCOMES.len(), || stage.gateway().standard_output());
    stage.stop_gateway();
    assert_events(&dir, &lines, &code);
}

#[test]
fn events_are_kept_in_a_stream_of_redis() {
    let (mut stage, alice) = Stage::with_alice(StoreKind::Redis);
    stage.config.set_text("audit.to", "redis");
    stage.serve();
    let code = alice.code();
    make_events(&stage, &code);
    let dir = stage.config.dir().to_owned();
    let redis = stage.redis();
    let lines = until_lines(6, || {
        let printed = redis.cli(&["XRANGE", "tfa:events", "-", "+"]);
        printed.lines().filter(|line| line.starts_with('{')).map(|line| line.to_owned() + "\n").collect()
    });
    assert_events(&dir, &lines, &code);
}

#[test]
fn a_right_password_that_no_code_follows_is_told_of_and_one_that_a_code_follows_is_not() {
    let mut stage = Stage::prepared_with_movable_clock(StoreKind::Embedded);
    let alice = stage.enrol("alice");
    let bob = stage.enrol("bob");
    stage.config.set_text("audit.to", "file");
    stage.config.set_text("audit.file", "audit.log");
    stage.config.set("audit.abandoned_after_minutes", "1");
    stage.serve();
    for _ in 0..2 {
        stage.send(&TokenRequest::alice());
    }
    stage.send(&TokenRequest::password("bob", "hunter22"));
    stage.send(&TokenRequest::password("bob", "hunter22").code(&bob.code()));
    stage.clock.advance(120);
    let file = stage.config.dir().join("audit.log");
    let lines = until_lines(5, || fs::read_to_string(&file).unwrap_or_default());
    let events = validated(stage.config.dir(), &lines);
    let told = events.last().expect("an event");
    assert_eq!(
        (&told["event"], &told["subject"], &told["count"]),
        (&"challenge_abandoned".into(), &"alice".into(), &2.into())
    );
    let metrics = exchange(stage.gateway().admin(), &get("/metrics")).expect("an answer").text();
    assert!(metrics.contains("tfa_gateway_challenges_abandoned_total 2\n"), "{metrics}");
    drop(alice);
}

#[test]
fn a_stream_of_redis_wants_a_redis() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.set_text("audit.to", "redis");
    let said = stage.config.run(&["check-config"]).refused();
    assert!(said.contains("audit.to: can be redis only if the store is"), "{said}");
}

#[test]
fn what_is_measured_shows_in_the_metrics() {
    let (stage, alice) = Stage::with_alice(StoreKind::Redis);
    make_events(&stage, &alice.code());
    stage.send_raw(&get("/"));
    stage.send_raw(&get("/oauth2/token/"));
    let metrics = exchange(stage.gateway().admin(), &get("/metrics")).expect("an answer").text();
    for line in [
        "tfa_gateway_grants_total{outcome=\"passcode_wanted\"} 1\n",
        "tfa_gateway_grants_total{outcome=\"released_with_factor\"} 1\n",
        "tfa_gateway_grants_total{outcome=\"upstream_refused\"} 1\n",
        "tfa_gateway_requests_total{route=\"token\",status=\"2xx\"} 2\n",
        "tfa_gateway_requests_total{route=\"pass_through\",status=\"2xx\"} 1\n",
        "tfa_gateway_store_duration_seconds_count{operation=\"find\"} 5\n",
        "tfa_gateway_store_duration_seconds_count{operation=\"settle\"} 3\n",
        "tfa_gateway_upstream_duration_seconds_count 7\n",
        "tfa_gateway_grant_duration_seconds_count{grant=\"password\",end=\"released\"} 2\n",
        "tfa_gateway_grant_duration_seconds_count{grant=\"password\",end=\"refused\"} 1\n",
        "tfa_gateway_requests_under_way 0\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}
