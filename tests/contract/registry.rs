//! Administration: factors that wait, recovery codes, lists, sealing anew, and many hands on one subject.

use tfa_gateway::{
    factor::{Passcode, PresentedRecoveryCode, totp::Totp},
    policy::{Enrolment, lockout::Settlement},
    step_up::{Beside, EnrolmentRegistry as _, EnrolmentStore as _, ListQuery, NameSummary, StoreError},
    store::{Store, key_file},
    types::{FactorId, SubjectId, UnixTime},
};

use crate::stand::{
    Stand, StoreKind, accepted, at_once, new_factor, on_every_store, present_at, run, subject, totp,
};

fn id(text: &str) -> FactorId {
    FactorId::parse(text).expect("a factor id")
}

fn code(text: &str) -> PresentedRecoveryCode {
    PresentedRecoveryCode::parse(text.as_bytes()).expect("a recovery code")
}

/// Ten codes that differ in their last character.
fn codes() -> Vec<PresentedRecoveryCode> {
    (0..10).map(|n| code(&format!("aaaa-bbbb-ccc{n}"))).collect()
}

fn refused<T>(done: Result<T, StoreError>) -> bool {
    done.is_err_and(|error| matches!(error, StoreError::Refused(_)))
}

/// Confirms what waits under an id with the passcode of that time.
async fn confirm(
    store: &Store,
    who: &SubjectId,
    id: &FactorId,
    totp: &Totp,
    now: UnixTime,
) -> Result<usize, StoreError> {
    let waiting = store.pending(who, id, now).await?;
    let passcode = Passcode::from_bytes(totp.passcode_now(now).as_bytes());
    let matched = waiting.matched(&passcode, now).expect("the passcode fits");
    store.confirm(who, &matched, Beside::Any, now).await
}

async fn names(store: &Store, containing: Option<&str>, limit: usize) -> Vec<NameSummary> {
    let mut query = ListQuery { containing: containing.map(str::to_owned), cursor: None, limit };
    let mut names = Vec::new();
    loop {
        let page = store.list(&query).await.expect("a page");
        names.extend(page.names);
        query.cursor = page.next;
        if query.cursor.is_none() {
            names.sort_by(|a, b| a.name.cmp(&b.name));
            return names;
        }
    }
}

on_every_store! {
    fn a_factor_that_waits_does_not_count_before_it_is_confirmed(kind: StoreKind) {
        let stand = Stand::new(kind);
        let alice = subject("alice");
        stand.run(async |store| {
            let waiting = store.propose(&alice, new_factor(None, totp(1))).await.expect("proposed");
            assert!(matches!(store.load(&alice).await, Ok(Enrolment::Absent)));
            let status = store.status(&alice).await.expect("a status");
            assert!(status.factors[0].is_pending && status.factors[0].problem.is_none(), "{status:?}");

            assert_eq!(confirm(store, &alice, &waiting, &totp(1), stand.now()).await.expect("confirmed"), 1);
            assert!(matches!(store.load(&alice).await, Ok(Enrolment::Active(_))));
            assert!(refused(store.pending(&alice, &waiting, stand.now()).await));
            let [ref factor] = store.status(&alice).await.expect("a status").factors[..] else { panic!("one") };
            assert!(!factor.is_pending && factor.label.as_deref() == Some("phone"), "{factor:?}");

            // The passcode that confirmed it is spent.
            let code = totp(1).passcode_now(stand.now());
            assert_eq!(stand.present(store, "alice", &code).await.expect("settled"), Settlement::Replayed);
        });
        stand.clock.advance(30);
        let settled = stand.alice_presents(&totp(1).passcode_now(stand.now()));
        assert!(matches!(settled, Settlement::Accepted { .. }), "{settled:?}");
    }

    fn what_waited_for_too_long_cannot_be_confirmed(kind: StoreKind) {
        let stand = Stand::new(kind);
        let alice = subject("alice");
        stand.run(async |store| {
            let waiting = store.propose(&alice, new_factor(None, totp(1))).await.expect("proposed");
            let later = UnixTime::from_secs(stand.now().as_secs() + 3601);
            assert!(refused(store.pending(&alice, &waiting, later).await));
            assert!(store.pending(&alice, &waiting, stand.now()).await.is_ok());
            // More than three do not wait: the oldest gives way.
            for _ in 0..3 {
                let newer = tfa_gateway::step_up::NewFactor { enrolled_at: later, ..new_factor(None, totp(2)) };
                store.propose(&alice, newer).await.expect("proposed");
            }
            assert!(refused(store.pending(&alice, &waiting, stand.now()).await));
            assert_eq!(store.status(&alice).await.expect("a status").factors.len(), 3);
        });
    }

    fn a_factor_is_renamed_and_removed_and_the_last_takes_the_recovery_codes_along(kind: StoreKind) {
        let stand = Stand::new(kind);
        let alice = subject("alice");
        stand.enrol_alice();
        stand.run(async |store| {
            store.enrol(&alice, new_factor(Some("f2"), totp(2))).await.expect("enrolled");
            store.replace_recovery_codes(&alice, &codes()).await.expect("codes");
            store.rename_factor(&alice, &id("f1"), Some("tablet".into())).await.expect("renamed");
            assert!(refused(store.rename_factor(&alice, &id("f9"), None).await));
            let Ok(Enrolment::Active(factors)) = store.load(&alice).await else { panic!("not enrolled") };
            let labels: Vec<_> = factors.totp.as_slice().iter().map(|factor| factor.label.as_deref()).collect();
            assert_eq!(labels, [Some("tablet"), Some("phone")]);
            assert_eq!(factors.recovery_codes.len(), 10);

            assert!(refused(store.remove_factor(&alice, &id("f9")).await));
            assert_eq!(store.remove_factor(&alice, &id("f1")).await.expect("removed"), 1);
            assert_eq!(store.status(&alice).await.expect("a status").recovery_codes, 10);
            assert_eq!(store.remove_factor(&alice, &id("f2")).await.expect("removed"), 0);
            assert!(matches!(store.load(&alice).await, Ok(Enrolment::Absent)));
            assert_eq!(store.status(&alice).await.expect("a status").recovery_codes, 0);
        });
    }

    fn a_recovery_code_works_once_in_any_spelling(kind: StoreKind) {
        let stand = Stand::new(kind);
        let alice = subject("alice");
        assert!(refused(stand.run(async |store| store.replace_recovery_codes(&alice, &codes()).await)));
        stand.enrol_alice();
        stand.run(async |store| store.replace_recovery_codes(&alice, &codes()).await).expect("codes");
        let first = stand.alice_presents("AAAA-BBBB-CCC0");
        assert!(matches!(first, Settlement::Accepted { .. }), "{first:?}");
        assert_eq!(stand.alice_presents("aaaabbbbccc0"), Settlement::Wrong);
        let left = stand.run(async |store| store.status(&alice).await).expect("a status").recovery_codes;
        assert_eq!(left, 9);

        // New codes take the place of the old ones.
        let others = vec![code("xxxx-yyyy-zzz1")];
        stand.run(async |store| store.replace_recovery_codes(&alice, &others).await).expect("codes");
        assert_eq!(stand.alice_presents("aaaa-bbbb-ccc1"), Settlement::Wrong);
        assert!(matches!(stand.alice_presents("xxxxyyyyzzz1"), Settlement::Accepted { .. }));
    }

    fn of_many_who_present_one_recovery_code_at_once_one_is_accepted(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.enrol_alice();
        stand.run(async |store| store.replace_recovery_codes(&subject("alice"), &codes()).await).expect("codes");
        let verdicts = at_once(16, |_| stand.alice_presents("aaaa-bbbb-ccc5"));
        let accepted = verdicts.iter().filter(|verdict| matches!(verdict, Settlement::Accepted { .. })).count();
        assert_eq!(accepted, 1, "{verdicts:?}");
    }

    fn recovery_codes_and_passcodes_have_a_budget_each(kind: StoreKind) {
        let stand = Stand::new(kind);
        let totp = stand.enrol_alice();
        let alice = subject("alice");
        stand.run(async |store| store.replace_recovery_codes(&alice, &codes()).await).expect("codes");
        for n in 0..5 {
            assert_eq!(stand.alice_presents(&format!("aaaa-bbbb-ddd{n}")), Settlement::Wrong);
        }
        assert_eq!(stand.alice_presents("aaaa-bbbb-ccc1"), Settlement::Locked { for_secs: 900 });
        let status = stand.run(async |store| store.status(&alice).await).expect("a status");
        assert_eq!((status.ledger.failures_in_a_row, status.recovery_ledger.failures_in_a_row), (0, 5));
        assert_eq!(stand.alice_presents(&totp.passcode_now(stand.now())), accepted("f1"));

        // A lock is lifted from both, and a locked code was not spent.
        assert!(stand.run(async |store| store.unlock(&alice).await).expect("unlocked"));
        assert!(matches!(stand.alice_presents("aaaa-bbbb-ccc1"), Settlement::Accepted { .. }));

        for n in 0..5 {
            assert_eq!(stand.alice_presents(&format!("{n}")), Settlement::Wrong);
        }
        assert!(matches!(stand.alice_presents("1"), Settlement::Locked { .. }));
        assert!(matches!(stand.alice_presents("aaaa-bbbb-ccc2"), Settlement::Accepted { .. }));
    }

    fn every_name_is_listed_once_and_found_by_a_part_of_it(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.run(async |store| {
            for n in 0..57 {
                let who = subject(&format!("user-{n:02}"));
                store.enrol(&who, new_factor(None, totp(1))).await.expect("enrolled");
            }
            let odd = subject("a*[b]{c}%7d?\\^-");
            store.propose(&odd, new_factor(None, totp(1))).await.expect("proposed");
            store.add_alias(&subject("Zoé@example.org"), &subject("user-07")).await.expect("an alias");
            store.replace_recovery_codes(&subject("user-07"), &codes()).await.expect("codes");

            let all = names(store, None, 10).await;
            assert_eq!(all.len(), 59);
            assert_eq!((all[0].name.as_str(), all[0].factors, all[0].pending), (odd.as_str(), 0, 1));
            let alias = all.last().expect("a name");
            assert_eq!(alias.alias_of.as_ref(), Some(&subject("user-07")));
            let one = names(store, Some("USER-07"), 10).await;
            assert_eq!(one.iter().map(|name| (name.factors, name.recovery_codes)).collect::<Vec<_>>(), [(1, 10)]);
            assert_eq!(names(store, Some("r-5"), 3).await.len(), 7);
            for part in ["*", "[b]", "{c}", "%7d", "?", "\\", "^-"] {
                let found = names(store, Some(part), 10).await;
                assert_eq!(found.iter().map(|name| &name.name).collect::<Vec<_>>(), [&odd], "{part}");
            }
            assert!(names(store, Some("nobody"), 10).await.is_empty());
        });
    }

    fn records_are_sealed_anew_with_the_current_key_and_open_without_the_old_one(kind: StoreKind) {
        let stand = Stand::new(kind);
        let totp = stand.enrol_alice();
        let alice = subject("alice");
        stand.run(async |store| {
            store.replace_recovery_codes(&alice, &codes()).await.expect("codes");
            store.propose(&alice, new_factor(None, totp.clone())).await.expect("proposed");
        });
        let new_key = key_file::generate(&stand.key_file(), stand.now()).expect("a key");
        stand.run(async |store| {
            assert_eq!(store.reseal(&alice).await.expect("resealed"), 12);
            assert_eq!(store.reseal(&alice).await.expect("resealed"), 0);
            for factor in store.status(&alice).await.expect("a status").factors {
                assert_eq!((factor.key_id.as_deref(), factor.problem), (Some(new_key.as_str()), None));
            }
        });
        // The old key is gone.
        let text = std::fs::read_to_string(stand.key_file()).expect("the key file");
        let mut keys: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        keys["keys"].as_object_mut().expect("keys").retain(|name, _| name == new_key.as_str());
        std::fs::write(stand.key_file(), keys.to_string()).expect("written");
        assert_eq!(stand.alice_presents(&totp.passcode_now(stand.now())), accepted("f1"));
        assert!(matches!(stand.alice_presents("aaaa-bbbb-ccc3"), Settlement::Accepted { .. }));
    }

    fn many_hands_on_one_subject_lose_nothing(kind: StoreKind) {
        let stand = Stand::new(kind);
        let alice = subject("alice");
        stand.enrol_alice();
        stand.run(async |store| store.replace_recovery_codes(&alice, &codes()).await).expect("codes");
        let now = stand.now();
        // Factors are added and renamed, codes are spent, and all of it at once.
        let opener = stand.opener();
        let done = at_once(12, |n| {
            run(&opener, async |store| match n {
                0..3 => store.enrol(&alice, new_factor(Some(&format!("new-{n}")), totp(9))).await.map(drop),
                3..8 => {
                    let spent = present_at(store, "alice", &format!("aaaa-bbbb-ccc{n}"), now).await;
                    spent.map(|settled| assert!(matches!(settled, Settlement::Accepted { .. }), "{settled:?}"))
                }
                8 => store.rename_factor(&alice, &id("f1"), Some("renamed".into())).await,
                _ => store.propose(&alice, new_factor(None, totp(3))).await.map(drop),
            })
        });
        for done in done {
            done.expect("done, though others worked on it");
        }
        run(&stand.opener(), async |store| {
            let status = store.status(&alice).await.expect("a status");
            let counting: Vec<_> = status.factors.iter().filter(|factor| !factor.is_pending).collect();
            assert_eq!(counting.len(), 4);
            assert_eq!(status.factors.len(), 7);
            assert_eq!(status.recovery_codes, 5);
            let renamed = counting.iter().find(|factor| factor.id == "f1").expect("the first");
            assert_eq!(renamed.label.as_deref(), Some("renamed"));
        });
    }
}
