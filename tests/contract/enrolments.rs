//! Enrolments: kept as they were given, and shut to whoever alters, moves or cannot open them.

use tfa_gateway::{
    factor::totp::{Algorithm, Totp, TotpParameters},
    policy::Enrolment,
    step_up::{EnrolmentRegistry as _, EnrolmentStore as _, Found, StoreError},
    types::{Secret, limits::FACTORS_MAX},
};

use crate::stand::{Stand, StoreKind, accepted, new_factor, on_every_store, run, subject, totp};

fn load(stand: &Stand, name: &str) -> Result<Enrolment, StoreError> {
    stand.run(async |store| store.load(&subject(name)).await)
}

/// An error, whatever its kind: it was not taken for "not enrolled", and nothing was opened.
fn assert_shut(stand: &Stand, name: &str) {
    let loaded = load(stand, name);
    assert!(loaded.is_err(), "{loaded:?}");
}

on_every_store! {
    fn who_was_never_enrolled_is_absent(kind: StoreKind) {
        assert!(matches!(load(&Stand::new(kind), "bob"), Ok(Enrolment::Absent)));
    }

    fn a_factor_comes_back_with_all_that_it_was_given(kind: StoreKind) {
        let stand = Stand::new(kind);
        let parameters = TotpParameters::new(Algorithm::Sha512, 8, 60, 2).expect("within bounds");
        let given = Totp::new(parameters, &Secret::new((0..64).collect())).expect("long enough");
        let new = new_factor(None, given.clone());
        let (id, count) =
            stand.run(async |store| store.enrol(&subject("alice"), new).await).expect("enrolled");
        assert_eq!(count, 1);
        let Ok(Enrolment::Active(factors)) = load(&stand, "alice") else { panic!("not enrolled") };
        let [factor] = factors.totp.as_slice() else { panic!("{factors:?}") };
        assert_eq!((&factor.id, factor.label.as_deref()), (&id, Some("phone")));
        assert_eq!(*factor.totp.parameters(), parameters);
        assert_eq!(factor.totp.expose_secret(), given.expose_secret());
        assert!(matches!(load(&stand, "bob"), Ok(Enrolment::Absent)));
    }

    fn an_alias_leads_to_a_subject_and_has_no_factors(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.enrol_alice();
        stand.run(async |store| {
            let (alice, address) = (subject("alice"), subject("Alice@Example.org"));
            store.add_alias(&address, &alice).await.expect("an alias");
            store.add_alias(&address, &alice).await.expect("the same again");
            assert!(matches!(store.find(&address).await, Ok(Found::AliasOf(found)) if found == alice));
            assert!(matches!(store.find(&alice).await, Ok(Found::Subject(Enrolment::Active(_)))));
            assert_eq!(store.status(&address).await.expect("a status").alias_of, Some(alice.clone()));

            // It is not enrolled, and not absent either.
            assert!(store.load(&address).await.is_err());
            let refused = |done: Result<(), StoreError>| assert!(matches!(done, Err(StoreError::Refused(_))), "{done:?}");
            refused(store.enrol(&address, new_factor(None, totp(2))).await.map(drop));
            refused(store.disable(&address).await.map(drop));
            refused(store.add_alias(&alice, &subject("bob")).await);

            assert!(store.remove_alias(&address).await.expect("removed"));
            assert!(!store.remove_alias(&address).await.expect("was none"));
            assert!(!store.remove_alias(&alice).await.expect("was none"));
            assert!(matches!(store.find(&address).await, Ok(Found::Subject(Enrolment::Absent))));
            assert!(matches!(store.load(&alice).await, Ok(Enrolment::Active(_))));
        });
    }

    fn a_subject_has_several_factors_of_different_names_and_not_too_many(kind: StoreKind) {
        let stand = Stand::new(kind);
        let enrol = |id: Option<&str>| {
            let new = new_factor(id, totp(1));
            stand.run(async |store| store.enrol(&subject("alice"), new).await)
        };
        enrol(Some("phone")).expect("enrolled");
        assert!(matches!(enrol(Some("phone")), Err(StoreError::Refused(_))));
        for count in 2..=FACTORS_MAX {
            assert_eq!(enrol(None).expect("enrolled").1, count);
        }
        assert!(matches!(enrol(None), Err(StoreError::Refused(_))));
        let Ok(Enrolment::Active(factors)) = load(&stand, "alice") else { panic!("not enrolled") };
        assert_eq!(factors.totp.as_slice().len(), FACTORS_MAX);
    }

    fn who_is_disabled_is_absent_and_can_be_enrolled_again(kind: StoreKind) {
        let stand = Stand::new(kind);
        let disable = || stand.run(async |store| store.disable(&subject("alice")).await).expect("disabled");
        assert_eq!(disable(), 0);
        stand.enrol_alice();
        for n in 0..5 {
            stand.alice_presents(&format!("wrong-{n}"));
        }
        assert_eq!(disable(), 1);
        assert!(matches!(load(&stand, "alice"), Ok(Enrolment::Absent)));
        let totp = stand.enrol_alice();
        assert_eq!(stand.alice_presents(&totp.passcode_now(stand.now())), accepted("f1"));
    }

    fn an_altered_record_is_shut_in_every_field(kind: StoreKind) {
        let mut stand = Stand::new(kind);
        stand.enrol_alice();
        let record = stand.read_record("alice", "f1");
        let nonce_at = record.find("\"nonce\":\"").expect("a nonce") + 9;
        let sealed_at = record.find("\"sealed\":\"").expect("a ciphertext") + 10;
        let flipped = |at: usize| {
            let other = if &record[at..=at] == "A" { "B" } else { "A" };
            format!("{}{other}{}", &record[..at], &record[at + 1..])
        };
        let altered = [
            record.replace("\"digits\":6", "\"digits\":8"),
            record.replace("\"period\":30", "\"period\":300"),
            record.replace("\"skew\":1", "\"skew\":5"),
            record.replace("SHA1", "SHA256"),
            record.replace("phone", "other"),
            record.replace("\"label\":\"phone\",", ""),
            record.replace("\"enrolled_at\":1", "\"enrolled_at\":2"),
            record.replace("\"v\":1", "\"v\":2"),
            record.replace("\"type\":\"totp\"", "\"type\":\"none\""),
            record.replace("{\"v\"", "{\"more\":1,\"v\""),
            record.replace("\"kid\":\"k", "\"kid\":\"x"),
            flipped(nonce_at),
            flipped(sealed_at),
            record[..record.len() - 1].to_owned(),
            "{}".to_owned(),
            String::new(),
            "[]".to_owned(),
        ];
        for altered in altered {
            assert_ne!(altered, record);
            stand.write_record("alice", "f1", &altered);
            assert_shut(&stand, "alice");
        }
        stand.write_record("alice", "f1", &record);
        assert!(matches!(load(&stand, "alice"), Ok(Enrolment::Active(_))));
    }

    fn a_record_opens_for_its_own_subject_and_factor_only(kind: StoreKind) {
        let mut stand = Stand::new(kind);
        stand.enrol_alice();
        let record = stand.read_record("alice", "f1");
        stand.write_record("bob", "f1", &record);
        assert_shut(&stand, "bob");
        stand.write_record("alice", "f2", &record);
        assert_shut(&stand, "alice");
    }

    fn one_shut_record_shuts_the_subject_and_the_status_names_it(kind: StoreKind) {
        let mut stand = Stand::new(kind);
        stand.enrol_alice();
        stand.write_record("alice", "f2", "{}");
        assert_shut(&stand, "alice");
        let status = stand.run(async |store| store.status(&subject("alice")).await).expect("a status");
        let problems: Vec<_> = status.factors.iter().map(|f| (f.id.as_str(), f.problem.is_some())).collect();
        assert_eq!(problems, [("f1", false), ("f2", true)]);
    }

    fn a_record_of_an_unknown_key_opens_when_the_key_comes_without_reopening_the_store(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.enrol_alice();
        let old = stand.change_keys();
        stand.run(async |store| {
            match store.load(&subject("alice")).await {
                Err(StoreError::Sealed { record, .. }) => assert_eq!(record, "f1"),
                other => panic!("{other:?}"),
            }
            stand.restore_keys(&old);
            let loaded = store.load(&subject("alice")).await;
            assert!(matches!(loaded, Ok(Enrolment::Active(_))), "{loaded:?}");
        });
    }

    fn edits_by_many_hands_at_once_lose_nothing(kind: StoreKind) {
        let stand = Stand::new(kind);
        let opener = stand.opener();
        let enrolled = crate::stand::at_once(16, |_| {
            let new = new_factor(None, totp(1));
            run(&opener, async |store| store.enrol(&subject("alice"), new).await).is_ok()
        });
        assert_eq!(enrolled.iter().filter(|ok| **ok).count(), FACTORS_MAX);
        let Ok(Enrolment::Active(factors)) = load(&stand, "alice") else { panic!("not enrolled") };
        assert_eq!(factors.totp.as_slice().len(), FACTORS_MAX);
    }
}

#[test]
fn a_plain_secret_counts_only_where_the_configuration_allows_it() {
    let mut stand = Stand::new(StoreKind::Redis);
    let secret = totp(1).secret_base32().to_lowercase();
    stand.redis().cli(&["HSET", "tfa:{alice}:enrolment", "totp_secret", &secret]);
    assert_shut(&stand, "alice");
    stand.plain_secrets = true;
    assert_eq!(stand.alice_presents(&totp(1).passcode_now(stand.now())), accepted("plain"));
    stand.redis().cli(&["HSET", "tfa:{alice}:enrolment", "totp_secret", "not base32"]);
    assert_shut(&stand, "alice");
}

#[test]
fn what_is_no_enrolment_of_ours_is_an_error_and_not_absent() {
    let mut stand = Stand::new(StoreKind::Redis);
    stand.redis().cli(&["SET", "tfa:{text}:enrolment", "x"]);
    stand.redis().cli(&["HSET", "tfa:{unknown}:enrolment", "webauthn:k1", "x"]);
    stand.redis().cli(&["HSET", "tfa:{badid}:enrolment", "totp:No Id", "x"]);
    for name in ["text", "unknown", "badid"] {
        assert_shut(&stand, name);
    }
}

#[test]
fn a_ledger_that_is_no_ledger_of_ours_accepts_nothing() {
    let mut stand = Stand::new(StoreKind::Redis);
    let totp = stand.enrol_alice();
    let code = totp.passcode_now(stand.now()).to_string();
    for (field, value) in [
        ("used:f1", "x"),
        ("locked_until", "soon"),
        ("failures_in_a_row", "many"),
        ("failures_in_a_row", "-100"),
        ("locked_until", "nan"),
    ] {
        stand.redis().cli(&["DEL", "tfa:{alice}:ledger"]);
        stand.redis().cli(&["HSET", "tfa:{alice}:ledger", field, value]);
        let settled = stand.run(async |store| stand.present(store, "alice", &code).await);
        assert!(settled.is_err(), "{field}: {settled:?}");
    }
}
