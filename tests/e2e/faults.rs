//! The store breaks: what the client sees, and that no token leaves uncleared and no code is accepted twice.
//!
//! Beside `outages` (gone, empty, silent), `lockout` and the contract suite (full, read-only, forgotten scripts, crash).

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    link::{Fault, Link},
    support::{
        BINARY, Challenge, Gateway, Person, Response, Stage, StoreKind, TokenRequest, assert_challenge,
        assert_denied, assert_token, exchange, get, site::wait_until,
    },
};

/// A limit that the tests need not wait for, and one that a busy machine keeps.
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(30);
/// Far more than some of the short ones, for a machine that is busy.
const AT_MOST: Duration = Duration::from_secs(20);

/// Alice's Redis is behind a link that can break; the gateway waits for it that long.
fn stage(timeout: Duration) -> (Stage, Person, Link) {
    let mut stage = Stage::prepared(StoreKind::Redis);
    let alice = stage.enrol("alice");
    let url = stage.redis().url();
    let (_, place) = url.split_once("://").expect("a URL");
    let address = place.split('/').next().expect("an address").parse().expect("an address");
    let link = Link::to(address);
    stage.config.set_text("store.url", &url.replace(&address.to_string(), &link.address().to_string()));
    // Each thread has a connection of its own, and leaves it alone for a moment after it broke.
    stage.config.set("listen.threads", "1");
    stage.config.set("store.timeout_ms", &timeout.as_millis().to_string());
    stage.serve();
    (stage, alice, link)
}

fn until_served(stage: &Stage) {
    let bob = TokenRequest::password("bob", "hunter22");
    wait_until("the store is used again", || (0..8).all(|_| stage.send(&bob).status == 200));
}

fn assert_closed(answer: &Response) {
    assert_denied(answer, 503, "temporarily_unavailable");
}

/// While it lasts nobody gets a token; when it is over a code works, once.
#[track_caller]
fn assert_fails_closed_and_recovers(fault: Fault) {
    let (stage, alice, link) = stage(SHORT);
    until_served(&stage);
    link.breaks(fault);
    let code = alice.code();
    let start = Instant::now();
    assert_closed(&stage.send(&TokenRequest::alice().code(&code)));
    assert_closed(&stage.send(&TokenRequest::alice()));
    assert_closed(&stage.send(&TokenRequest::password("bob", "hunter22")));
    // Nobody waits for more than the limit.
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
    link.breaks(Fault::None);
    until_served(&stage);
    let code = alice.next_code();
    assert_token(&stage.send(&TokenRequest::alice().code(&code)));
    assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::UsedCode);
}

#[test]
fn a_redis_that_hangs_up_within_an_answer() {
    assert_fails_closed_and_recovers(Fault::CutAfter(3));
}

#[test]
fn a_redis_that_hangs_up_at_once() {
    assert_fails_closed_and_recovers(Fault::CutAfter(0));
}

#[test]
fn a_redis_that_says_what_no_redis_says() {
    assert_fails_closed_and_recovers(Fault::Garbage);
}

#[test]
fn a_redis_that_falls_silent() {
    assert_fails_closed_and_recovers(Fault::Silence);
}

#[test]
fn a_redis_that_is_slow_is_waited_for() {
    let (stage, alice, link) = stage(LONG);
    link.breaks(Fault::OneByteAtATime);
    let code = alice.code();
    assert_token(&stage.send(&TokenRequest::alice().code(&code)));
    assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::UsedCode);
}

/// Slower than usual, and in time: each answer of Redis comes half a second late.
#[test]
fn a_redis_that_answers_late_is_waited_for() {
    let late = Duration::from_millis(500);
    let (stage, alice, link) = stage(LONG);
    until_served(&stage);
    link.breaks(Fault::Delay(late));
    let (code, start) = (alice.code(), Instant::now());
    assert_token(&stage.send(&TokenRequest::alice().code(&code)));
    assert!(start.elapsed() >= late, "Redis was not asked");
    assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::UsedCode);
}

/// Slower than the gateway waits. What was settled while nobody waited any more stays settled.
#[test]
fn a_redis_that_answers_too_late_releases_nothing() {
    let (stage, alice, link) = stage(SHORT);
    until_served(&stage);
    link.breaks(Fault::Delay(3 * SHORT));
    let start = Instant::now();
    assert_closed(&stage.send(&TokenRequest::alice().code(&alice.code())));
    assert_closed(&stage.send(&TokenRequest::password("bob", "hunter22")));
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
    link.breaks(Fault::None);
    until_served(&stage);
    let code = alice.next_code();
    assert_token(&stage.send(&TokenRequest::alice().code(&code)));
    assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::UsedCode);
}

#[test]
fn a_full_redis_releases_nothing_for_a_code_that_it_cannot_remember() {
    let (mut stage, alice) = Stage::with_alice(StoreKind::Redis);
    stage.redis().cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_closed(&stage.send(&TokenRequest::alice().code(&alice.code())));
    // Whoever needs no code needs no memory.
    assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
    stage.redis().cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
}

#[test]
fn a_redis_that_was_made_a_replica_releases_nothing_for_a_code() {
    let mut stage = Stage::prepared(StoreKind::Redis);
    let alice = stage.enrol("alice");
    stage.config.set("listen.threads", "1");
    stage.serve();
    stage.redis().cli(&["REPLICAOF", "127.0.0.1", "1"]);
    assert_closed(&stage.send(&TokenRequest::alice().code(&alice.code())));
    stage.redis().cli(&["REPLICAOF", "NO", "ONE"]);
    until_served(&stage);
    assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
}

/// A disk that takes no more: the gateway's files may not grow.
fn with_full_disk(stage: &Stage) -> Gateway {
    let mut command = Command::new("sh");
    // What is ignored stays so in what is run; a write fails then, and does not kill. In blocks of 512 bytes: room for
    // SQLite's index of its log, and for some pages in the log.
    command.args(["-c", "trap '' XFSZ; ulimit -f 72; exec \"$@\"", "sh", BINARY]);
    stage.config.serve_by(command)
}

#[test]
fn a_full_disk_releases_nothing_for_a_code_and_is_not_ready() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let alice = stage.enrol("alice");
    let full = with_full_disk(&stage);
    let send = |request: &TokenRequest| exchange(full.address(), &request.bytes()).expect("an answer");
    let is_ready = || exchange(full.admin(), &get("/readyz")).expect("an answer").status == 200;
    // Each probe writes a little.
    assert!((0..100).any(|_| !is_ready()), "it is never full");
    assert_closed(&send(&TokenRequest::alice().code(&alice.code())));
    assert_token(&send(&TokenRequest::password("bob", "hunter22")));
    assert!(!is_ready());
    drop(full);
    stage.serve();
    assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
}

#[test]
fn a_write_that_was_torn_by_a_power_cut_does_not_bring_a_used_code_back() {
    let (mut stage, alice) = Stage::with_alice(StoreKind::Embedded);
    let code = alice.code();
    assert_token(&stage.send(&TokenRequest::alice().code(&code)));
    stage.kill_gateway();
    // The beginning of a next commit, which nobody was told of.
    let wal = stage.config.dir().join("gateway.db-wal");
    let frames = fs::read(&wal).expect("the log is there after a power cut");
    let torn = &frames[32..32 + 600];
    OpenOptions::new().append(true).open(&wal).expect("opened").write_all(torn).expect("written");
    stage.serve();
    assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::UsedCode);
    assert_token(&stage.send(&TokenRequest::alice().code(&alice.next_code())));
}

#[test]
fn a_clock_that_is_set_back_does_not_bring_a_used_code_back() {
    for store in [StoreKind::Redis, StoreKind::Embedded] {
        let mut stage = Stage::prepared_with_movable_clock(store);
        let alice = stage.enrol("alice");
        stage.serve();
        let code = alice.code();
        assert_token(&stage.send(&TokenRequest::alice().code(&code)));
        stage.clock.advance(1800);
        let later = alice.code();
        assert_token(&stage.send(&TokenRequest::alice().code(&later)));
        // Half an hour back: both codes are of steps that are over.
        stage.clock.set_back(1800);
        for used in [&code, &later] {
            let answer = stage.send(&TokenRequest::alice().code(used));
            assert_eq!(answer.status, 401, "{answer:?}");
        }
    }
}
