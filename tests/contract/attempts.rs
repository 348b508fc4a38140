//! Settling: once, in order, counted, locked, and under any number of hands at once.

use tfa_gateway::{policy::lockout::Settlement, step_up::EnrolmentRegistry as _, types::UnixTime};

use crate::stand::{Stand, accepted, at_once, new_factor, on_every_store, present_at, run, subject, totp};

fn wrong(n: usize) -> String {
    format!("wrong-{n}")
}

on_every_store! {
    fn a_step_is_accepted_once_and_no_earlier_one_after_it(kind: crate::stand::StoreKind) {
        let stand = Stand::new(kind);
        let totp = stand.enrol_alice();
        let now = stand.now();
        let earlier = UnixTime::from_secs(now.as_secs() - 30);
        assert_eq!(stand.alice_presents(&totp.passcode_now(now)), accepted("f1"));
        assert_eq!(stand.alice_presents(&totp.passcode_now(now)), Settlement::Replayed);
        assert_eq!(stand.alice_presents(&totp.passcode_now(earlier)), Settlement::Replayed);
        stand.clock.advance(30);
        assert_eq!(stand.alice_presents(&totp.passcode_now(now)), Settlement::Replayed);
        assert_eq!(stand.alice_presents(&totp.passcode_now(stand.now())), accepted("f1"));
    }

    fn a_passcode_of_a_secret_that_was_enrolled_twice_is_accepted_once(kind: crate::stand::StoreKind) {
        let stand = Stand::new(kind);
        let totp = stand.enrol_alice();
        let now = stand.now();
        let twin = |id: &str| {
            let new = new_factor(Some(id), totp.clone());
            stand.run(async |store| store.enrol(&subject("alice"), new).await).expect("enrolled");
        };
        twin("f2");
        assert!(matches!(stand.alice_presents(&totp.passcode_now(now)), Settlement::Accepted { .. }));
        assert_eq!(stand.alice_presents(&totp.passcode_now(now)), Settlement::Replayed);
        // Nor does a factor that comes later make it new.
        twin("f3");
        assert_eq!(stand.alice_presents(&totp.passcode_now(now)), Settlement::Replayed);
        stand.clock.advance(30);
        let next = totp.passcode_now(stand.now());
        assert!(matches!(stand.alice_presents(&next), Settlement::Accepted { .. }));
        assert_eq!(stand.alice_presents(&next), Settlement::Replayed);
    }

    fn each_factor_has_steps_of_its_own(kind: crate::stand::StoreKind) {
        let stand = Stand::new(kind);
        let first = stand.enrol_alice();
        let second = new_factor(Some("f2"), totp(2));
        stand.run(async |store| store.enrol(&subject("alice"), second).await).expect("enrolled");
        let now = stand.now();
        assert_eq!(stand.alice_presents(&first.passcode_now(now)), accepted("f1"));
        assert_eq!(stand.alice_presents(&totp(2).passcode_now(now)), accepted("f2"));
        assert_eq!(stand.alice_presents(&first.passcode_now(now)), Settlement::Replayed);
        assert_eq!(stand.alice_presents(&totp(2).passcode_now(now)), Settlement::Replayed);
    }

    fn five_failures_lock_and_each_lock_is_longer_up_to_an_hour(kind: crate::stand::StoreKind) {
        let stand = Stand::new(kind);
        let totp = stand.enrol_alice();
        for lock_secs in [900, 1800, 3600, 3600] {
            for n in 0..5 {
                assert_eq!(stand.alice_presents(&wrong(n)), Settlement::Wrong);
            }
            let right = totp.passcode_now(stand.now());
            assert_eq!(stand.alice_presents(&right), Settlement::Locked { for_secs: lock_secs });
            stand.clock.advance(lock_secs - 1);
            assert_eq!(stand.alice_presents(&wrong(9)), Settlement::Locked { for_secs: 1 });
            stand.clock.advance(1);
        }
        assert_eq!(stand.alice_presents(&totp.passcode_now(stand.now())), accepted("f1"));
        // A success has cleared all of it: the next lock is a first one.
        for n in 0..5 {
            assert_eq!(stand.alice_presents(&wrong(n)), Settlement::Wrong);
        }
        assert_eq!(stand.alice_presents(&wrong(9)), Settlement::Locked { for_secs: 900 });
    }

    fn a_hundred_failures_in_a_row_lock_until_an_administrator_unlocks(kind: crate::stand::StoreKind) {
        let stand = Stand::new(kind);
        let totp = stand.enrol_alice();
        stand.run(async |store| {
            for n in 0..100 {
                let verdict = stand.present(store, "alice", &wrong(n)).await.expect("settled");
                assert_eq!(verdict, Settlement::Wrong, "{n}");
                stand.clock.advance(300);
            }
        });
        stand.clock.advance(400 * 86_400);
        assert_eq!(stand.alice_presents(&totp.passcode_now(stand.now())), Settlement::LockedForGood);
        assert!(stand.run(async |store| store.unlock(&subject("alice")).await).expect("unlocked"));
        assert_eq!(stand.alice_presents(&totp.passcode_now(stand.now())), accepted("f1"));
    }

    fn the_same_wrong_passcode_counts_once_in_its_window(kind: crate::stand::StoreKind) {
        let stand = Stand::new(kind);
        stand.enrol_alice();
        let counted = || {
            let status = stand.run(async |store| store.status(&subject("alice")).await).expect("a status");
            status.ledger.failures_in_a_row
        };
        for _ in 0..20 {
            assert_eq!(stand.alice_presents("000000?"), Settlement::Wrong);
        }
        assert_eq!(counted(), 1);
        stand.clock.advance(89);
        stand.alice_presents("000000?");
        assert_eq!(counted(), 1);
        stand.clock.advance(1);
        stand.alice_presents("000000?");
        assert_eq!(counted(), 2);
    }

    fn an_unlock_forgets_failures_and_no_used_step(kind: crate::stand::StoreKind) {
        let stand = Stand::new(kind);
        let totp = stand.enrol_alice();
        let code = totp.passcode_now(stand.now());
        assert_eq!(stand.alice_presents(&code), accepted("f1"));
        for n in 0..5 {
            stand.alice_presents(&wrong(n));
        }
        let unlock = || stand.run(async |store| store.unlock(&subject("alice")).await).expect("unlocked");
        assert!(unlock());
        assert!(!unlock());
        assert_eq!(stand.alice_presents(&code), Settlement::Replayed);
    }

    fn of_many_hands_with_one_passcode_exactly_one_is_accepted(kind: crate::stand::StoreKind) {
        let stand = Stand::new(kind);
        let totp = stand.enrol_alice();
        let (now, code) = (stand.now(), totp.passcode_now(stand.now()).to_string());
        // Two openers stand for two gateways, each with threads of its own.
        let openers = [stand.opener(), stand.opener()];
        let verdicts = at_once(64, |n| {
            run(&openers[n % 2], async |store| present_at(store, "alice", &code, now).await).expect("settled")
        });
        let winners = verdicts.iter().filter(|verdict| **verdict == accepted("f1")).count();
        assert_eq!(winners, 1, "{verdicts:?}");
        let status = stand.run(async |store| store.status(&subject("alice")).await).expect("a status");
        assert!(status.ledger.failures_in_a_row <= 1, "one passcode counts once");
    }

    fn of_many_wrong_passcodes_at_once_no_more_than_five_are_looked_at(kind: crate::stand::StoreKind) {
        let stand = Stand::new(kind);
        stand.enrol_alice();
        let (now, openers) = (stand.now(), [stand.opener(), stand.opener()]);
        let verdicts = at_once(64, |n| {
            run(&openers[n % 2], async |store| present_at(store, "alice", &wrong(n), now).await).expect("settled")
        });
        let looked_at = verdicts.iter().filter(|verdict| **verdict == Settlement::Wrong).count();
        assert_eq!(looked_at, 5, "{verdicts:?}");
    }
}
