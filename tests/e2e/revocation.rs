//! No orphans: a token that was issued, withheld and not released is revoked upstream.

mod wiretap;

use std::{
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use tfa_gateway::types::limits::REVOCATION_AGE_SECS_MAX;

use crate::support::{
    Challenge, Kind, PATIENCE, Person, Received, Stage, StoreKind, TokenRequest, assert_challenge,
    assert_denied, assert_token, exchange, free_port, get, on_both_stores,
};

use self::wiretap::Wiretap;

/// A lease of a gateway that was killed at the wrong moment runs for a minute.
const MORE_THAN_A_LEASE: Duration = PATIENCE.saturating_mul(3);

/// A stage with alice enrolled, whose gateway does not serve yet.
fn prepared(store: StoreKind, section: &[(&str, &str)]) -> (Stage, Person) {
    let mut stage = Stage::prepared(store);
    let alice = stage.enrol("alice");
    for (key, value) in section {
        stage.config.set_text(&format!("revocation.{key}"), value);
    }
    (stage, alice)
}

fn serving(store: StoreKind, section: &[(&str, &str)]) -> (Stage, Person) {
    let (mut stage, alice) = prepared(store, section);
    stage.serve();
    (stage, alice)
}

const RFC7009: &[(&str, &str)] = &[("style", "rfc7009")];

fn metric(stage: &Stage, name: &str) -> u64 {
    let shown = exchange(stage.gateway().admin(), &get("/metrics")).expect("the metrics");
    assert_eq!(shown.status, 200, "{shown:?}");
    let text = shown.text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
}

fn counted(stage: &Stage, outcome: &str) -> u64 {
    metric(stage, &format!("tfa_gateway_revocations_total{{outcome=\"{outcome}\"}}"))
}

fn backlog(stage: &Stage) -> u64 {
    metric(stage, "tfa_gateway_revocation_backlog")
}

/// Asks until it is so. Each round is a request, not a wait.
fn until(stage: &Stage, what: &str, is_so: impl Fn(&Stage) -> bool) {
    let since = Instant::now();
    while !is_so(stage) {
        assert!(since.elapsed() < MORE_THAN_A_LEASE, "never: {what}");
    }
}

pub(crate) fn until_counted(stage: &Stage, outcome: &str, at_least: u64) {
    until(stage, outcome, |stage| counted(stage, outcome) >= at_least);
}

fn challenge(stage: &Stage) {
    assert_challenge(&stage.send(&TokenRequest::alice()), Challenge::CodeWanted);
}

/// The requests that the upstream understood as revocations.
fn revocations(stage: &Stage) -> Vec<Received> {
    let to_revoke = |request: &Received| request.target() == "/oauth2/revoke" || request.method() == "DELETE";
    stage.upstream.received().into_iter().filter(to_revoke).collect()
}

fn token_info(stage: &Stage, token: &str) -> u16 {
    let request = get(&format!("/oauth2/tokens/{token}"));
    exchange(stage.upstream.address(), &request).expect("an answer of the upstream").status
}

fn refresh(token: &str) -> TokenRequest {
    TokenRequest::grant(&[("grant_type", "refresh_token"), ("refresh_token", token)])
}

/// Revocations that are kept, by the public layout.
fn stored(stage: &Stage) -> u64 {
    if let Some(redis) = &stage.redis {
        return redis.cli(&["ZCARD", "tfa:{revocations}:born"]).parse().expect("a number");
    }
    let file = rusqlite::Connection::open(stage.config.dir().join("gateway.db")).expect("the store's file");
    let count: u32 =
        file.query_row("SELECT count(*) FROM revocations", [], |row| row.get(0)).expect("a number");
    count.into()
}

on_both_stores! {
    fn after_a_challenge_neither_token_works_upstream_any_more(store: StoreKind) {
        let (stage, _alice) = serving(store, RFC7009);
        challenge(&stage);
        until_counted(&stage, "revoked", 1);
        assert!(stage.upstream.issued_tokens().is_empty(), "all are forgotten");
        let asked = revocations(&stage);
        let [first, second] = asked.as_slice() else { panic!("{asked:?}") };
        let told = |request: &Received, name: &str| request.parameter(name).expect("a parameter").to_owned();
        assert_eq!(told(first, "token_type_hint"), "refresh_token");
        assert_eq!(told(second, "token_type_hint"), "access_token");
        assert_eq!(stage.send_directly(&refresh(&told(first, "token"))).status, 400);
        assert_eq!(token_info(&stage, &told(second, "token")), 404);
        for request in &asked {
            assert_eq!(request.header("host"), Some("gateway.test"));
            assert_eq!(request.header("authorization"), Some("Basic dGVzdGNsaWVudDp0ZXN0cGFzcw=="));
            assert_eq!(request.parameters().as_object().map(serde_json::Map::len), Some(2));
        }
        assert_eq!((backlog(&stage), stored(&stage)), (0, 0));
    }

    fn a_token_that_was_released_is_never_revoked(store: StoreKind) {
        let (stage, alice) = serving(store, RFC7009);
        let of_alice = stage.send(&TokenRequest::alice().code(&alice.code()));
        let of_bob = stage.send(&TokenRequest::password("bob", "hunter22"));
        let released = [assert_token(&of_alice), assert_token(&of_bob)];
        // What comes later is revoked, so these would have been.
        challenge(&stage);
        until_counted(&stage, "revoked", 1);
        assert_eq!(revocations(&stage).len(), 2);
        for token in released {
            assert_eq!(token_info(&stage, &token), 200);
        }
        for answer in [of_alice, of_bob] {
            let token = answer.json()["refresh_token"].as_str().expect("a refresh token").to_owned();
            assert_eq!(stage.send_directly(&refresh(&token)).status, 200);
        }
    }

    fn a_wrong_code_and_a_used_one_leave_no_token_either(store: StoreKind) {
        let (stage, alice) = serving(store, RFC7009);
        let code = alice.code();
        let kept = assert_token(&stage.send(&TokenRequest::alice().code(&code)));
        assert_challenge(&stage.send(&TokenRequest::alice().code(&alice.wrong_code())), Challenge::WrongCode);
        assert_challenge(&stage.send(&TokenRequest::alice().code(&code)), Challenge::UsedCode);
        until_counted(&stage, "revoked", 2);
        let left = stage.upstream.issued_tokens();
        assert!(left.len() == 2 && left.contains(&kept), "{left:?}");
    }

    fn while_the_upstream_does_not_revoke_the_backlog_shows_it_and_then_it_is_made_good(store: StoreKind) {
        let (stage, _alice) = serving(store, RFC7009);
        stage.upstream.answer_revocations_with(Some(503));
        challenge(&stage);
        challenge(&stage);
        until_counted(&stage, "retried", 2);
        until(&stage, "a backlog of two", |stage| backlog(stage) == 2);
        assert_eq!(stage.upstream.issued_tokens().len(), 4);
        stage.upstream.answer_revocations_with(None);
        until_counted(&stage, "revoked", 2);
        until(&stage, "no backlog", |stage| backlog(stage) == 0);
        assert!(stage.upstream.issued_tokens().is_empty());
    }

    fn what_was_kept_is_revoked_after_the_gateway_was_killed(store: StoreKind) {
        let (mut stage, _alice) = serving(store, RFC7009);
        stage.upstream.answer_revocations_with(Some(503));
        challenge(&stage);
        until_counted(&stage, "retried", 1);
        stage.crash_and_serve();
        until(&stage, "a backlog", |stage| backlog(stage) == 1);
        stage.upstream.answer_revocations_with(None);
        until_counted(&stage, "revoked", 1);
        assert!(stage.upstream.issued_tokens().is_empty());
    }

    fn what_was_withheld_just_before_the_end_is_kept(store: StoreKind) {
        let (mut stage, _alice) = serving(store, RFC7009);
        stage.upstream.answer_revocations_with(Some(503));
        for _ in 0..5 {
            challenge(&stage);
        }
        stage.stop_gateway();
        assert_eq!(stored(&stage), 5);
    }

    fn a_token_that_the_upstream_does_not_revoke_for_a_week_is_given_up_and_that_is_said(store: StoreKind) {
        let mut stage = Stage::prepared_with_movable_clock(store);
        stage.enrol("alice");
        stage.config.set_text("revocation.style", "rfc7009");
        stage.serve();
        stage.upstream.answer_revocations_with(Some(503));
        challenge(&stage);
        until_counted(&stage, "retried", 1);
        stage.clock.advance(REVOCATION_AGE_SECS_MAX);
        until_counted(&stage, "given_up", 1);
        until(&stage, "no backlog", |stage| backlog(stage) == 0);
        assert!(stage.stop_gateway().contains("the revocation of a withheld token is given up"));
    }

    fn a_request_of_the_sites_own_revokes_as_well(store: StoreKind) {
        let (stage, _alice) =
            serving(store, &[("style", "request"), ("url", "/oauth2/tokens/{token}"), ("method", "DELETE")]);
        challenge(&stage);
        until_counted(&stage, "revoked", 1);
        assert!(stage.upstream.issued_tokens().is_empty());
        assert_eq!(revocations(&stage).len(), 2);
    }
}

#[test]
fn without_redis_the_answer_is_as_ever_and_the_token_is_revoked_when_it_is_back() {
    let (mut stage, _alice) = prepared(StoreKind::Redis, RFC7009);
    stage.config.set("store.timeout_ms", "500");
    stage.serve();
    challenge(&stage);
    until_counted(&stage, "revoked", 1);
    stage.redis().kill();
    assert_denied(&stage.send(&TokenRequest::alice()), 503, "temporarily_unavailable");
    until(&stage, "a backlog", |stage| backlog(stage) == 1);
    assert_eq!(stage.upstream.issued_tokens().len(), 2);
    stage.redis().restart();
    until_counted(&stage, "revoked", 2);
    assert!(stage.upstream.issued_tokens().is_empty());
}

#[test]
fn what_redis_did_not_take_is_kept_when_it_comes_back_while_the_gateway_stops() {
    let (mut stage, _alice) = prepared(StoreKind::Redis, RFC7009);
    stage.config.set("store.timeout_ms", "500");
    stage.serve();
    stage.upstream.answer_revocations_with(Some(503));
    stage.redis().kill();
    assert_denied(&stage.send(&TokenRequest::alice()), 503, "temporarily_unavailable");
    let mut redis = stage.redis.take().expect("a Redis");
    let back = thread::spawn(move || {
        redis.restart();
        redis
    });
    stage.stop_gateway();
    stage.redis = Some(back.join().expect("restarted"));
    assert_eq!(stored(&stage), 1);
}

#[test]
fn an_upstream_that_does_not_answer_a_revocation_delays_neither_an_answer_nor_the_end() {
    // Its kernel takes the connections, and nobody answers.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}/revoke", silent.local_addr().expect("an address"));
    let (mut stage, _alice) = serving(StoreKind::Embedded, &[("style", "rfc7009"), ("url", &url)]);
    challenge(&stage);
    until(&stage, "a backlog", |stage| backlog(stage) > 0);
    for _ in 0..19 {
        challenge(&stage);
    }
    assert_eq!(counted(&stage, "retried"), 0, "the first is still asked for");
    stage.stop_gateway();
    assert_eq!(stored(&stage), 20);
}

#[test]
fn a_client_that_leaves_while_the_store_is_asked_leaves_no_token() {
    let (mut stage, _alice) = prepared(StoreKind::Redis, RFC7009);
    let wiretap = Wiretap::on(stage.upstream.address());
    stage.config.set_text("upstream.url", &format!("http://{}", wiretap.address));
    stage.config.set("listen.threads", "1");
    stage.serve();
    stage.redis().freeze();
    let mut client = TcpStream::connect(stage.gateway().address()).expect("connected");
    client.write_all(&TokenRequest::alice().bytes()).expect("sent");
    until(&stage, "an answer on its way", |_| wiretap.passed_on("refresh_token") == 1);
    // The one thread that serves has read that answer when it has answered another request.
    assert_eq!(stage.send_raw(&get("/somewhere/else")).status, 200);
    drop(client);
    stage.redis().thaw();
    until_counted(&stage, "revoked", 1);
    assert!(stage.upstream.issued_tokens().is_empty());
}

#[test]
fn the_gateways_own_client_can_be_the_one_that_asks() {
    let section = [
        ("style", "rfc7009"),
        ("client", "own"),
        ("client_id", "gateway"),
        ("client_secret_file", "client.secret"),
    ];
    let (mut stage, _alice) = prepared(StoreKind::Embedded, &section);
    std::fs::write(stage.config.dir().join("client.secret"), "wrong\n").expect("written");
    stage.serve();
    challenge(&stage);
    until_counted(&stage, "retried", 1);
    assert_eq!(revocations(&stage)[0].status(), Some(401));
    std::fs::write(stage.config.dir().join("client.secret"), "gatewaypass\n").expect("written");
    stage.serve();
    until_counted(&stage, "revoked", 1);
    let last = revocations(&stage).pop().expect("a revocation");
    assert_eq!(last.header("authorization"), Some("Basic Z2F0ZXdheTpnYXRld2F5cGFzcw=="));
    assert!(stage.upstream.issued_tokens().is_empty());
}

#[test]
fn a_client_that_authenticates_itself_in_the_form_is_the_one_that_asks() {
    let (stage, _alice) = serving(StoreKind::Embedded, RFC7009);
    let by_form = || {
        TokenRequest::alice().without_client().parameter("client_id", "conf").parameter("client_secret", "s3")
    };
    assert_challenge(&stage.send(&by_form()), Challenge::CodeWanted);
    assert_challenge(&stage.send(&by_form().in_json()), Challenge::CodeWanted);
    until_counted(&stage, "revoked", 2);
    for asked in revocations(&stage) {
        assert_eq!(
            (asked.parameter("client_id"), asked.parameter("client_secret")),
            (Some("conf"), Some("s3"))
        );
    }
    assert!(stage.upstream.issued_tokens().is_empty());
}

#[test]
fn tokens_of_a_type_that_the_server_does_not_revoke_are_not_asked_about_again() {
    let (stage, _alice) = serving(StoreKind::Embedded, RFC7009);
    stage.upstream.answer_revocations_with(Some(400));
    challenge(&stage);
    until_counted(&stage, "unsupported", 1);
    until(&stage, "no backlog", |stage| backlog(stage) == 0);
    assert_eq!(revocations(&stage).len(), 2);
}

#[test]
fn a_gateway_that_is_not_told_to_revokes_nothing() {
    let (mut stage, _alice) = serving(StoreKind::Embedded, &[]);
    challenge(&stage);
    stage.stop_gateway();
    assert_eq!(stored(&stage), 0);
    assert!(revocations(&stage).is_empty());
}

#[test]
fn no_token_and_no_credential_is_printed_when_a_revocation_fails() {
    let url = format!("http://127.0.0.1:{}/{{token}}", free_port());
    let (mut stage, _alice) = prepared(StoreKind::Embedded, &[("style", "request"), ("url", &url)]);
    stage.config.set_text("log.level", "trace");
    stage.serve();
    challenge(&stage);
    until_counted(&stage, "retried", 1);
    let printed = stage.stop_gateway();
    assert!(printed.contains("could not be asked to revoke"), "{printed}");
    for secret in
        stage.upstream.issued_tokens().iter().map(String::as_str).chain(["dGVzdGNsaWVudDp0ZXN0cGFzcw"])
    {
        assert!(!printed.contains(secret), "{secret} in\n{printed}");
    }
}

/// Whether glewlwyd takes an access token for a good one (RFC 7662).
fn is_active(stage: &Stage, access_token: &str) -> bool {
    let body = format!("token={access_token}&token_type_hint=access_token");
    let request = format!(
        "POST /oauth2/introspect HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dGVzdGNsaWVudDp0ZXN0cGFzcw==\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(stage.upstream.address(), request.as_bytes()).expect("an answer of the upstream");
    answer.json()["active"].as_bool().expect("true or false")
}

#[test]
fn glewlwyd_honours_neither_token_after_a_challenge_and_both_after_a_code() {
    let mut stage = Stage::prepared_in_front_of(Kind::Glewlwyd, StoreKind::Embedded);
    let alice = stage.enrol("alice");
    let wiretap = Wiretap::on(stage.upstream.address());
    stage.config.set_text("upstream.url", &format!("http://{}", wiretap.address));
    stage.config.set_text("revocation.style", "rfc7009");
    stage.serve();
    let released = stage.send(&TokenRequest::alice().code(&alice.code())).json();
    challenge(&stage);
    until(&stage, "two answers", |_| wiretap.passed_on("refresh_token") == 2);
    let (access_token, refresh_token) = (wiretap.last("access_token"), wiretap.last("refresh_token"));
    until_counted(&stage, "revoked", 1);

    assert!(!is_active(&stage, &access_token));
    assert_ne!(stage.send_directly(&refresh(&refresh_token)).status, 200);
    assert!(is_active(&stage, released["access_token"].as_str().expect("a token")));
    let refresh_token = released["refresh_token"].as_str().expect("a token");
    assert_eq!(stage.send_directly(&refresh(refresh_token)).status, 200);
}
