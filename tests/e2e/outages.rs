//! The store or the upstream is gone, and then back.

use std::time::{Duration, Instant};

use crate::support::{
    Challenge, Person, Response, Stage, StoreKind, TokenRequest, assert_challenge, assert_denied,
    assert_token, exchange, get, on_both_stores, site::wait_until,
};

/// Far more than some timeouts of half a second, for a machine that is busy; and nothing near the client's patience.
const AT_MOST: Duration = Duration::from_secs(20);

fn probe(stage: &Stage, path: &str) -> Response {
    exchange(stage.gateway().admin(), &get(path)).expect("an answer of the probe")
}

/// Returns when the gateway says itself that it can serve again.
fn until_ready(stage: &Stage) {
    wait_until("it is ready again", || probe(stage, "/readyz").status == 200);
}

fn assert_closed(answer: &Response) {
    assert_denied(answer, 503, "temporarily_unavailable");
    let secs = answer.header("retry-after").expect("Retry-After").parse::<u32>().expect("whole seconds");
    assert!(secs > 0);
}

/// What holds while the store is gone.
fn assert_fails_closed(stage: &Stage, code: &str) {
    let start = Instant::now();
    // Whoever may or may not be enrolled, whatever the code.
    assert_closed(&stage.send(&TokenRequest::alice()));
    assert_closed(&stage.send(&TokenRequest::alice().code(code)));
    assert_closed(&stage.send(&TokenRequest::password("bob", "hunter22")));

    // What needs no store goes on.
    let wrong_password = TokenRequest::password("alice", "not-it");
    assert_eq!(stage.send(&wrong_password).text(), stage.send_directly(&wrong_password).text());
    assert_token(&stage.send(&TokenRequest::grant(&[("grant_type", "client_credentials")])));
    assert_eq!(stage.send_raw(&get("/somewhere/else")).status, 200);

    assert_eq!(probe(stage, "/healthz").status, 200);
    let ready = probe(stage, "/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("the store cannot be asked"), "{ready:?}");
    assert!(!ready.text().contains("the upstream"), "{ready:?}");
    // Nobody waits long for any of it.
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
    assert_eq!(probe(stage, "/readyz?exclude=store").status, 200);
    assert_eq!(probe(stage, "/readyz?exclude=stores").status, 400);
}

/// With a limit that the tests need not wait for.
fn impatient_stage_with_alice(store: StoreKind) -> (Stage, Person) {
    let mut stage = Stage::prepared(store);
    let alice = stage.enrol("alice");
    stage.config.set("store.timeout_ms", "500");
    stage.config.set("listen.threads", "1");
    stage.serve();
    (stage, alice)
}

fn assert_serves(stage: &Stage, code: &str) {
    until_ready(stage);
    // The one thread leaves a store alone for a moment after it could not be reached.
    let bob = TokenRequest::password("bob", "hunter22");
    wait_until("the store is used again", || (0..8).all(|_| stage.send(&bob).status == 200));
    assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
    assert_token(&stage.send(&TokenRequest::alice().code(code)));
    assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
}

#[test]
fn without_redis_no_token_leaves_and_with_it_all_is_well_again() {
    let (mut stage, alice) = impatient_stage_with_alice(StoreKind::Redis);
    assert_serves(&stage, &alice.code());
    stage.redis().kill();
    assert_fails_closed(&stage, &alice.next_code());
    stage.redis().restart();
    assert_serves(&stage, &alice.next_code());
}

#[test]
fn with_a_redis_that_has_lost_its_data_no_token_leaves_until_they_are_back() {
    let (mut stage, alice) = impatient_stage_with_alice(StoreKind::Redis);
    assert_serves(&stage, &alice.code());
    stage.redis().kill();
    stage.redis().restart_empty();
    assert_fails_closed(&stage, &alice.next_code());
    stage.redis().kill();
    stage.redis().restore();
    assert_serves(&stage, &alice.next_code());
}

#[test]
fn a_redis_whose_enrolments_a_site_wrote_is_missed_when_it_is_lost() {
    let mut stage = Stage::prepared(StoreKind::Redis);
    stage.config.set("store.plain_secrets", "true");
    stage.config.set("store.timeout_ms", "500");
    stage.redis().cli(&["HSET", "tfa:{alice}:enrolment", "totp_secret", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"]);
    stage.serve();
    assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
    stage.redis().kill();
    stage.redis().restart_empty();
    assert_closed(&stage.send(&TokenRequest::alice()));
}

#[test]
fn a_gateway_that_is_told_to_expect_data_does_not_serve_on_an_empty_redis() {
    let mut stage = Stage::prepared(StoreKind::Redis);
    stage.config.set("store.must_exist", "true");
    stage.serve();
    assert_closed(&stage.send(&TokenRequest::password("bob", "hunter22")));
    assert_eq!(probe(&stage, "/readyz").status, 503);
}

#[test]
fn with_a_redis_that_does_not_answer_no_token_leaves() {
    let (mut stage, alice) = impatient_stage_with_alice(StoreKind::Redis);
    stage.redis().freeze();
    // The code is not looked at; what is queued for a frozen Redis may still reach it when it thaws.
    assert_fails_closed(&stage, &alice.code());
    stage.redis().thaw();
    assert_serves(&stage, &alice.next_code());
}

#[test]
fn a_gateway_that_starts_without_redis_fails_closed_until_it_is_there() {
    let mut stage = Stage::prepared(StoreKind::Redis);
    let alice = stage.enrol("alice");
    stage.config.set("store.timeout_ms", "500");
    stage.config.set("listen.threads", "1");
    stage.redis().kill();
    stage.serve();
    assert_fails_closed(&stage, &alice.code());
    stage.redis().restart();
    assert_serves(&stage, &alice.code());
}

#[test]
fn while_another_process_holds_the_embedded_store_no_code_is_accepted() {
    let (stage, alice) = impatient_stage_with_alice(StoreKind::Embedded);
    let other = rusqlite::Connection::open(stage.config.dir().join("gateway.db")).expect("the store's file");
    other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    assert_closed(&stage.send(&TokenRequest::alice().code(&alice.code())));
    other.execute_batch("ROLLBACK").expect("unlocked");
    assert_serves(&stage, &alice.next_code());
}

on_both_stores! {
    fn without_the_upstream_it_is_a_bad_gateway_until_it_is_back(store: StoreKind) {
        let (mut stage, alice) = Stage::with_alice(store);
        stage.own_upstream().stop();
        let start = Instant::now();
        assert_denied(&stage.send(&TokenRequest::alice()), 502, "temporarily_unavailable");
        assert_denied(&stage.send(&TokenRequest::alice().code(&alice.code())), 502, "temporarily_unavailable");
        assert_eq!(stage.send_raw(&get("/somewhere/else")).status, 502);
        assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
        let ready = probe(&stage, "/readyz");
        assert!(ready.text().contains("the upstream does not answer"), "{ready:?}");
        assert!(!ready.text().contains("the store"), "{ready:?}");
        stage.own_upstream().restart();
        // A code that nothing was released for is not spent.
        assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
        assert_eq!(stage.send_raw(&get("/somewhere/else")).status, 200);
    }
}

#[test]
fn an_upstream_that_does_not_answer_is_a_gateway_timeout() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let alice = stage.enrol("alice");
    stage.config.set("upstream.response_timeout_ms", "500");
    stage.serve();
    stage.upstream.freeze();
    let start = Instant::now();
    let answer = stage.send(&TokenRequest::alice().code(&alice.code()));
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
    stage.upstream.thaw();
    assert_denied(&answer, 504, "temporarily_unavailable");
    assert_token(&stage.send(&TokenRequest::alice().code(&alice.code())));
}
