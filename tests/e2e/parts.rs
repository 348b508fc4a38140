//! What the other tests rely on, without the gateway: a test that cannot fail proves nothing.

use crate::support::{
    Clock, Kind, Passcodes, RedisServer, TokenRequest, Upstream, assert_token, exchange, has_token,
};

#[test]
fn redis_lives_by_the_tests_clock_and_keeps_its_data_over_a_power_cut() {
    let clock = Clock::movable();
    let mut redis = RedisServer::start(&clock);
    redis.cli(&["set", "here", "still", "ex", "3600"]);
    redis.cli(&["set", "gone", "soon", "ex", "60"]);
    clock.advance(120);
    assert_eq!(redis.cli(&["mget", "here", "gone"]), "still");
    let time: u64 = redis.cli(&["time"]).lines().next().expect("seconds").parse().expect("a number");
    assert!(time.abs_diff(clock.now()) <= 1);
    redis.kill();
    redis.restart();
    assert_eq!(redis.cli(&["get", "here"]), "still");
}

#[test]
fn oathtool_computes_the_vectors_of_the_rfc() {
    // RFC 6238 appendix B; the secret is "12345678901234567890".
    let codes = Passcodes::of("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").with("sha1", 8, 30);
    assert_eq!(codes.at(59), "94287082");
    assert_eq!(codes.at(1_111_111_109), "07081804");
    assert_eq!(codes.steps_after(29, 1), "94287082");
    assert!(!codes.wrong(59, 100).contains(&"94287082".to_owned()));
}

#[test]
fn a_frozen_upstream_thaws() {
    let upstream = Upstream::start(Kind::Php);
    upstream.freeze();
    upstream.thaw();
    assert_token(&exchange(upstream.address(), &TokenRequest::alice().bytes()).expect("an answer"));
}

/// The control of `no_case_gets_a_token_of_an_enrolled_person_without_a_second_factor`.
#[test]
fn the_upstream_alone_falls_for_the_attacks() {
    let upstream = Upstream::start(Kind::Php);
    let attacks = crate::cases::expected("no token without a second factor");
    let (mut fallen_for, mut withstood) = (0, Vec::new());
    for case in attacks {
        match exchange(upstream.address(), &case.raw) {
            Some(answer) if has_token(&answer) => fallen_for += 1,
            _ => withstood.push(case.id),
        }
    }
    assert!(fallen_for >= 30, "only {fallen_for}; not for {withstood:?}");
}
