//! What is said when the store does not do its part.

use std::process::Command;

use super::*;
use crate::support::{get, quietly};

#[test]
fn what_a_store_cannot_do_is_told_and_not_guessed() {
    let mut stage = Stage::prepared(StoreKind::Redis);
    stage.config.set("store.timeout_ms", "500");
    let mut desk = Desk::with(stage);
    desk.ok("POST", "/subjects/alice/factors", None);
    desk.refused("GET", "/audit?before=nowhere", None, 422);
    desk.refused("GET", "/subjects?cursor=nowhere", None, 422);
    desk.stage.redis().kill();
    for (method, path) in [("GET", "/subjects/alice"), ("POST", "/subjects/alice/unlock"), ("GET", "/audit")]
    {
        let answer = desk.call(method, path, None);
        problem(&answer, 503);
        assert_eq!(answer.header("retry-after"), Some("5"), "{answer:?}");
    }
}

#[test]
fn a_record_that_does_not_open_is_named_and_can_be_reset() {
    let desk = Desk::on(StoreKind::Embedded);
    desk.ok("POST", "/subjects/alice/factors", None);
    let mut stage = desk.stage;
    stage.stop_gateway();
    std::fs::remove_file(stage.config.key_file()).expect("removed");
    stage.config.run(&["keys", "generate"]).ok();
    stage.serve();
    let desk = Desk { stage, token: desk.token };
    let status = desk.ok("GET", "/subjects/alice", None);
    assert!(text(&status["factors"][0], "problem").contains("key"), "{status}");
    assert_eq!(desk.ok("POST", "/subjects/alice/reset", None)["factors_removed"], 1);
}

#[test]
fn a_change_without_a_record_is_told_from_one_that_was_not_made() {
    let desk = Desk::on(StoreKind::Embedded);
    desk.ok("POST", "/subjects/alice/factors", None);
    let file = desk.stage.config.dir().join("gateway.db");
    quietly(Command::new("sqlite3").args(["-cmd", ".timeout 30000"]).arg(file).arg("DROP TABLE trail"));
    let answer = desk.call("DELETE", "/subjects/alice/factors", None);
    assert!(problem(&answer, 500).contains("the change was made"), "{answer:?}");
    assert!(text(&answer.json(), "type").ends_with("/NotRecorded"), "{answer:?}");
    assert_eq!(desk.ok("GET", "/subjects/alice", None)["enrolled"], false);
}

/// It counts, and there is no other place where it is written down.
#[test]
fn a_secret_that_was_made_is_shown_even_if_it_could_not_be_recorded() {
    let desk = Desk::on(StoreKind::Embedded);
    let file = desk.stage.config.dir().join("gateway.db");
    desk.ok("GET", "/subjects/alice", None);
    quietly(Command::new("sqlite3").args(["-cmd", ".timeout 30000"]).arg(file).arg("DROP TABLE trail"));
    let enrolled = desk.ok("POST", "/subjects/alice/factors", None);
    assert_eq!((text(&enrolled, "secret").len(), &enrolled["recorded"]), (32, &false.into()), "{enrolled}");
    let codes = desk.ok("POST", "/subjects/alice/recovery-codes", None);
    assert_eq!(codes["recovery_codes"].as_array().map(Vec::len), Some(10), "{codes}");
    let ran = desk.stage.config.run(&["enrol", "bob", "--json"]);
    assert!(ran.stdout.contains("otpauth://"), "{ran:?}");
    assert!(ran.refused().contains("could not be recorded"));
}

#[test]
fn a_change_goes_on_to_its_record_when_its_client_leaves() {
    let mut desk = Desk::on(StoreKind::Redis);
    // What writes waits in Redis, so that the client leaves between the change and its record.
    desk.stage.redis().cli(&["CLIENT", "PAUSE", "600000", "WRITE"]);
    let mut client = TcpStream::connect(desk.address()).expect("a connection");
    client.write_all(&desk.request("POST", "/subjects/alice/factors", None)).expect("sent");
    while !desk.stage.redis().cli(&["CLIENT", "LIST"]).lines().any(|client| client.contains(" flags=b ")) {}
    client.shutdown(Shutdown::Both).expect("it leaves");
    // One thread serves both: with the second answer it has seen that the first client is gone.
    for _ in 0..2 {
        assert_eq!(exchange(desk.address(), &get("/healthz")).expect("an answer").status, 200);
    }
    desk.stage.redis().cli(&["CLIENT", "UNPAUSE"]);
    desk.stage.stop_gateway();
    let run = |command| desk.stage.config.run(&[command, "--json"]).json()["subject"].clone();
    assert_eq!((run("list"), run("audit")), ("alice".into(), "alice".into()));
}
