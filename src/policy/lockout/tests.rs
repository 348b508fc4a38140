use super::*;
use crate::{
    factor::{
        Factor, Factors, Passcode, RecoveryCode,
        totp::{Totp, TotpParameters},
        verify,
    },
    sealing::{KEY_BYTES, KeyId, KeyRing},
    types::{NonEmpty, Secret},
};

const START: UnixTime = UnixTime::from_secs(1_000_000 * 30);
const LOCKOUT: Lockout = Lockout { failures_max: 5, window_secs: 900, lock_secs: 900, lock_secs_max: 3600 };

fn after(secs: u64) -> UnixTime {
    UnixTime::from_secs(START.as_secs() + secs)
}

/// An attempt with the right passcode of the step at `now`, or with a wrong one.
fn attempt(passcode: Option<&str>, now: UnixTime) -> Attempt {
    let totp = Totp::new(TotpParameters::default(), &Secret::new(vec![7; 20])).unwrap();
    let right = totp.passcode_now(now);
    let passcode = Passcode::from_bytes(passcode.unwrap_or(&right).as_bytes());
    let id = FactorId::parse("f1").unwrap();
    let totp = NonEmpty::from_vec(vec![Factor { id, label: None, enrolled_at: None, totp }]).unwrap();
    let factors = Factors { totp, recovery_codes: Vec::new() };
    let ring = KeyRing::new((KeyId::parse("k").unwrap(), Secret::new([1; KEY_BYTES])), vec![]);
    Attempt {
        fit: verify(&factors, &passcode, now, |_, _| false),
        fingerprint: ring.fingerprint("alice", passcode.expose()),
        window_secs: 90,
    }
}

/// No attempt here has a recovery code to spend.
fn never(_: &RecoveryMatch) -> bool {
    unreachable!("no recovery code was presented")
}

/// An attempt with the recovery code `left-1`, or with a wrong one.
fn recovery_attempt(code: &str) -> Attempt {
    let Attempt { fingerprint, window_secs, .. } = attempt(Some(code), START);
    let totp = Totp::new(TotpParameters::default(), &Secret::new(vec![7; 20])).unwrap();
    let id = FactorId::parse("f1").unwrap();
    let totp = NonEmpty::from_vec(vec![Factor { id, label: None, enrolled_at: None, totp }]).unwrap();
    let left = RecoveryCode { id: FactorId::parse("left-1").unwrap(), record: Box::from(*b"aaaabbbbcccc") };
    let factors = Factors { totp, recovery_codes: vec![left] };
    let passcode = Passcode::from_bytes(code.as_bytes());
    let fit = verify(&factors, &passcode, START, |code, presented| *code.record == *presented.expose());
    Attempt { fit, fingerprint, window_secs }
}

#[test]
fn a_recovery_code_is_accepted_if_it_could_be_spent_and_counted_if_not() {
    let mut ledger = Ledger::default();
    let right = recovery_attempt("AAAA-bbbb-cccc");
    let accepted = Settlement::Accepted { factor: FactorId::parse("left-1").unwrap() };
    assert_eq!(ledger.settle(&right, START, &LOCKOUT, |_| true), accepted);
    assert_eq!(ledger.settle(&right, START, &LOCKOUT, |_| false), Settlement::Replayed);
    for n in 0..4 {
        let wrong = recovery_attempt(&format!("aaaabbbb000{n}"));
        assert_eq!(ledger.settle(&wrong, START, &LOCKOUT, |_| true), Settlement::Wrong);
    }
    let refused = ledger.settle(&right, START, &LOCKOUT, |_| unreachable!("locked, and nothing is spent"));
    assert_eq!(refused, Settlement::Locked { for_secs: 900 });
}

fn wrong(n: u32) -> String {
    format!("wrong{n}")
}

fn accepted() -> Settlement {
    Settlement::Accepted { factor: FactorId::parse("f1").unwrap() }
}

#[test]
fn a_step_is_accepted_once_and_an_earlier_one_never_after_it() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.settle(&attempt(None, START), START, &LOCKOUT, never), accepted());
    assert_eq!(ledger.settle(&attempt(None, START), START, &LOCKOUT, never), Settlement::Replayed);
    let earlier = UnixTime::from_secs(START.as_secs() - 30);
    assert_eq!(ledger.settle(&attempt(None, earlier), START, &LOCKOUT, never), Settlement::Replayed);
    assert_eq!(ledger.settle(&attempt(None, after(30)), after(30), &LOCKOUT, never), accepted());
}

#[test]
fn five_failures_lock_whatever_the_passcode_and_locks_grow() {
    let mut ledger = Ledger::default();
    let mut now = START;
    for lock_secs in [900, 1800, 3600, 3600] {
        for n in 0..5 {
            assert_eq!(
                ledger.settle(&attempt(Some(&wrong(n)), now), now, &LOCKOUT, never),
                Settlement::Wrong
            );
        }
        let right = ledger.settle(&attempt(None, now), now, &LOCKOUT, never);
        assert_eq!(right, Settlement::Locked { for_secs: lock_secs });
        now = UnixTime::from_secs(now.as_secs() + lock_secs);
    }
    assert_eq!(ledger.settle(&attempt(None, now), now, &LOCKOUT, never), accepted());
    assert_eq!((ledger.failures_in_a_row, ledger.locks_in_a_row), (0, 0));
}

#[test]
fn failures_that_are_spread_out_do_not_lock() {
    let mut ledger = Ledger::default();
    for n in 0..20 {
        let now = after(u64::from(n) * 300);
        assert_eq!(
            ledger.settle(&attempt(Some(&wrong(n)), now), now, &LOCKOUT, never),
            Settlement::Wrong,
            "{n}"
        );
    }
}

#[test]
fn a_hundred_failures_in_a_row_lock_until_an_administrator_unlocks() {
    let mut ledger = Ledger::default();
    for n in 0..100 {
        let now = after(u64::from(n) * 300);
        assert_eq!(
            ledger.settle(&attempt(Some(&wrong(n)), now), now, &LOCKOUT, never),
            Settlement::Wrong,
            "{n}"
        );
    }
    let later = after(1_000_000);
    assert_eq!(ledger.settle(&attempt(None, later), later, &LOCKOUT, never), Settlement::LockedForGood);
    assert!(ledger.unlock());
    assert_eq!(ledger.settle(&attempt(None, later), later, &LOCKOUT, never), accepted());
}

#[test]
fn the_same_wrong_passcode_counts_once_within_its_window() {
    let mut ledger = Ledger::default();
    for _ in 0..50 {
        assert_eq!(
            ledger.settle(&attempt(Some("nonsense"), START), START, &LOCKOUT, never),
            Settlement::Wrong
        );
    }
    assert_eq!(ledger.failures_in_a_row, 1);
    ledger.settle(&attempt(Some("nonsense"), after(90)), after(90), &LOCKOUT, never);
    assert_eq!(ledger.failures_in_a_row, 2);
}

#[test]
fn an_unlock_does_not_make_a_used_passcode_usable() {
    let mut ledger = Ledger::default();
    ledger.settle(&attempt(None, START), START, &LOCKOUT, never);
    ledger.unlock();
    assert_eq!(ledger.settle(&attempt(None, START), START, &LOCKOUT, never), Settlement::Replayed);
}
