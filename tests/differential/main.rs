//! What servers of three platforms read in mutated token requests, against what the gateway gated.
//!
//! The property: whatever a reader of `tests/upstreams/readers` takes for a password grant, the gateway has
//! taken for one too, of the same person. The requests come from a seeded generator, so that a failure comes
//! again: `DIFFERENTIAL_SEED` is another seed, `DIFFERENTIAL_CASES` another number of requests a reader.

mod bodies;
mod draft;
mod fields;
mod names;
mod parameters;
mod random;
#[path = "../e2e/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "shared with the end-to-end tests, which need more of it"
)]
mod support;
mod targets;
mod trial;

use support::Kind;

#[test]
fn what_php_takes_for_a_password_grant_was_gated() {
    trial::hold(Kind::PhpReader);
}

#[test]
fn what_rails_takes_for_a_password_grant_was_gated() {
    trial::hold(Kind::RailsReader);
}

#[test]
fn what_perl_takes_for_a_password_grant_was_gated() {
    trial::hold(Kind::PerlReader);
}

#[test]
fn a_seed_gives_the_same_requests_again() {
    let raw = |seed, number| draft::case(seed, number).raw("case.test");
    for number in 0..100 {
        assert_eq!(raw(1, number), raw(1, number));
    }
    let differing = (0..100).filter(|number| raw(1, *number) != raw(2, *number)).count();
    assert!(differing > 90, "only {differing} of 100 differ between two seeds");
}
