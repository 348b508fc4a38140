//! Taking over and giving away: once, whole, and without bringing back what was used.

use tfa_gateway::{
    factor::PresentedRecoveryCode,
    policy::{Enrolment, lockout::Settlement},
    step_up::{
        Departing, EnrolmentRegistry as _, EnrolmentStore as _, NewFactor, StoreError, TakenCode, TakenOver,
        Takeover,
    },
    types::FactorId,
};

use crate::stand::{
    START, Stand, StoreKind, accepted, at_once, new_factor, on_every_store, present_at, run, subject, totp,
};

fn code(text: &str) -> TakenCode {
    TakenCode::Plain(PresentedRecoveryCode::parse(text.as_bytes()).expect("a recovery code"))
}

fn takeover(stand: &Stand, id: &str, secret: u8, codes: &[&str], last_used_step: Option<u64>) -> Takeover {
    let factor = new_factor(Some(id), totp(secret));
    let recovery_codes = codes.iter().map(|text| code(text)).collect();
    Takeover { factor, recovery_codes, last_used_step, now: stand.now() }
}

on_every_store! {
    fn of_many_who_import_the_same_secret_one_adds_it(kind: StoreKind) {
        let stand = Stand::new(kind);
        let alice = subject("alice");
        let opener = stand.opener();
        // Nobody was ever enrolled there: of those who come at once, one leaves the marker that others may miss.
        let outcomes = at_once(8, |_| {
            run(&opener, async |store| {
                store.import(&alice, &takeover(&stand, "imp-1", 1, &["abcd-efgh-jkmn"], None)).await.expect("done")
            })
        });
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == TakenOver::Added).count(), 1, "{outcomes:?}");
        stand.run(async |store| {
            let status = store.status(&alice).await.expect("a status");
            assert_eq!((status.factors.len(), status.recovery_codes), (1, 1));
        });
    }

    fn a_rehearsal_answers_as_the_import_will_and_changes_nothing(kind: StoreKind) {
        let stand = Stand::new(kind);
        let alice = subject("alice");
        stand.run(async |store| {
            let takeover = takeover(&stand, "imp-1", 1, &["abcd-efgh-jkmn"], Some(7));
            assert_eq!(store.would_import(&alice, &takeover).await.expect("an answer"), TakenOver::Added);
            assert!(matches!(store.load(&alice).await, Ok(Enrolment::Absent)));
            assert_eq!(store.import(&alice, &takeover).await.expect("done"), TakenOver::Added);
            assert_eq!(store.would_import(&alice, &takeover).await.expect("an answer"), TakenOver::AlreadyThere);
        });
    }

    fn a_secret_is_known_under_any_id_and_an_id_with_another_secret_is_refused(kind: StoreKind) {
        let stand = Stand::new(kind);
        let alice = subject("alice");
        stand.enrol_alice();
        stand.run(async |store| {
            let same = takeover(&stand, "imp-1", 1, &["abcd-efgh-jkmn"], None);
            assert_eq!(store.import(&alice, &same).await.expect("done"), TakenOver::AlreadyThere);
            assert_eq!(store.status(&alice).await.expect("a status").recovery_codes, 0);
            let other = store.import(&alice, &takeover(&stand, "f1", 2, &[], None)).await;
            assert!(matches!(other, Err(StoreError::Refused(_))), "{other:?}");
        });
    }

    fn too_many_recovery_codes_refuse_the_whole_row(kind: StoreKind) {
        let stand = Stand::new(kind);
        let alice = subject("alice");
        stand.run(async |store| {
            let texts: Vec<String> = (0..21).map(|n| format!("abcd-efgh-{n:04}")).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let refused = store.import(&alice, &takeover(&stand, "imp-1", 1, &texts, None)).await;
            assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
            assert!(matches!(store.load(&alice).await, Ok(Enrolment::Absent)));
            // A code that two rows have is one code.
            let first = takeover(&stand, "imp-1", 1, &texts[..20], None);
            store.import(&alice, &first).await.expect("done");
            let second = takeover(&stand, "imp-2", 2, &texts[..20], None);
            assert_eq!(store.import(&alice, &second).await.expect("done"), TakenOver::Added);
            assert_eq!(store.status(&alice).await.expect("a status").recovery_codes, 20);
        });
    }

    fn a_step_that_was_used_elsewhere_or_since_is_not_accepted(kind: StoreKind) {
        let stand = Stand::new(kind);
        let alice = subject("alice");
        let now = START / 30;
        stand.run(async |store| {
            store.import(&alice, &takeover(&stand, "imp-1", 1, &[], Some(now))).await.expect("done");
            let code = |step| totp(1).passcode_at(step);
            let present = async |step| present_at(store, "alice", &code(step), stand.now()).await.expect("settled");
            assert_eq!(present(now).await, Settlement::Replayed);
            assert_eq!(present(now + 1).await, accepted("imp-1"));
            // Removed, and taken over again from an older file: what was used since stays used.
            let id = FactorId::parse("imp-1").expect("an id");
            store.remove_factor(&alice, &id).await.expect("removed");
            store.import(&alice, &takeover(&stand, "imp-1", 1, &[], Some(now - 1))).await.expect("done");
            assert_eq!(present(now).await, Settlement::Replayed);
            assert_eq!(present(now + 1).await, Settlement::Replayed);
        });
    }

    fn what_departs_arrives_whole(kind: StoreKind) {
        let (old, new) = (Stand::new(kind), Stand::new(kind));
        let alice = subject("alice");
        let departing = old.run(async |store| {
            let all = takeover(&old, "imp-1", 1, &["abcd-efgh-jkmn"], Some(START / 30));
            store.import(&alice, &all).await.expect("done");
            store.export(&alice).await.expect("exported")
        });
        let Departing::Subject { factors, recovery_codes } = departing else { panic!("a subject") };
        assert_eq!((factors.len(), recovery_codes.len()), (1, 1));
        new.run(async |store| {
            for (factor, last_used_step) in factors {
                assert_eq!(last_used_step, Some(START / 30));
                let recovery_codes = recovery_codes.iter().cloned();
                let takeover = Takeover {
                    factor: NewFactor {
                        id: Some(factor.id),
                        label: factor.label,
                        enrolled_at: factor.enrolled_at.expect("a time"),
                        totp: factor.totp,
                    },
                    recovery_codes: recovery_codes.map(|(id, digest)| TakenCode::Digest(id, digest)).collect(),
                    last_used_step,
                    now: new.now(),
                };
                store.import(&alice, &takeover).await.expect("done");
            }
            let used = totp(1).passcode_at(START / 30);
            let settled = present_at(store, "alice", &used, new.now()).await.expect("settled");
            assert_eq!(settled, Settlement::Replayed);
            let settled = present_at(store, "alice", "abcd-efgh-jkmn", new.now()).await.expect("settled");
            assert!(matches!(settled, Settlement::Accepted { .. }), "{settled:?}");
        });
    }
}

#[test]
fn a_plain_secret_of_a_sites_own_code_is_not_imported_beside_itself() {
    let mut stand = Stand::new(StoreKind::Redis);
    stand.plain_secrets = true;
    let secret = totp(1).secret_base32().to_lowercase();
    stand.redis().cli(&["HSET", "tfa:{alice}:enrolment", "totp_secret", &secret]);
    stand.run(async |store| {
        let same = store.import(&subject("alice"), &takeover(&stand, "imp-1", 1, &[], None)).await;
        assert_eq!(same.expect("an answer"), TakenOver::AlreadyThere);
        let other = store.import(&subject("alice"), &takeover(&stand, "imp-2", 2, &[], None)).await;
        assert_eq!(other.expect("an answer"), TakenOver::Added);
    });
}
