//! Sessions of the self-service pages, and devices that are remembered.

use tfa_gateway::{
    policy::device::{Device, DeviceVerdict},
    step_up::{DeviceStore as _, EnrolmentRegistry as _, Session, SessionStore as _, StoredSession},
    types::{FactorId, Secret, UnixTime},
};

use crate::stand::{Stand, StoreKind, new_factor, on_every_store, subject, totp};

fn session(now: UnixTime) -> Session {
    Session {
        subject: subject("alice"),
        verified_beside: vec![id("f1"), id("f2")],
        proposed: vec![id("f3")],
        confirmed_at: Some(now),
        changes: 4,
        began_at: now,
        renewed_at: now,
        form_token: Secret::new("t".to_owned()),
    }
}

fn id(text: &str) -> FactorId {
    FactorId::parse(text).expect("an id")
}

fn device(digest: u8, now: UnixTime) -> Device {
    Device {
        client_id: "cli".into(),
        label: Some("a laptop".into()),
        digest: [digest; 32],
        previous: None,
        created_at: now,
        used_at: now,
        forget_at: UnixTime::from_secs(now.as_secs() + 3600),
    }
}

on_every_store! {
    fn a_session_comes_back_as_it_was_until_its_time_is_over(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.run(async |store| {
            let secret = Secret::new("s".to_owned());
            store.begin_session(&secret, &session(stand.now()), 60, stand.now()).await.expect("begun");
            let found = store.session(&secret, stand.now()).await.expect("read").expect("a session");
            assert_eq!(format!("{:?}", found.session), format!("{:?}", session(stand.now())));
            assert!(store.session(&Secret::new("S".to_owned()), stand.now()).await.expect("read").is_none());
            stand.clock.advance(61);
            assert!(store.session(&secret, stand.now()).await.expect("read").is_none());
        });
    }

    fn a_session_that_was_ended_does_not_go_on(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.run(async |store| {
            let (secret, session) = (Secret::new("s".to_owned()), session(stand.now()));
            let begin = async || {
                store.begin_session(&secret, &session, 60, stand.now()).await.expect("begun");
                store.session(&secret, stand.now()).await.expect("read").expect("a session")
            };
            let goes_on = async |read: &StoredSession| {
                store.go_on_with_session(&secret, read, &session, 60, stand.now()).await.expect("written")
            };
            let read = begin().await;
            assert!(goes_on(&read).await);
            assert!(!goes_on(&read).await, "it is another one by now");
            let read = store.session(&secret, stand.now()).await.expect("read").expect("a session");
            store.end_session(&secret).await.expect("ended");
            assert!(!goes_on(&read).await);
            assert!(store.session(&secret, stand.now()).await.expect("read").is_none());
            let read = begin().await;
            stand.clock.advance(61);
            assert!(!goes_on(&read).await);
        });
    }

    fn changes_of_one_session_at_once_are_all_kept(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.run(async |store| {
            let (secret, now) = (Secret::new("s".to_owned()), stand.now());
            store.begin_session(&secret, &Session { changes: 0, ..session(now) }, 60, now).await.expect("begun");
            let count = async |_| {
                loop {
                    let read = store.session(&secret, now).await.expect("read").expect("a session");
                    let next = Session { changes: read.session.changes + 1, ..read.session.clone() };
                    if store.go_on_with_session(&secret, &read, &next, 60, now).await.expect("written") {
                        break;
                    }
                }
            };
            futures_util::future::join_all((0..20).map(count)).await;
            let read = store.session(&secret, now).await.expect("read").expect("a session");
            assert_eq!(read.session.changes, 20);
        });
    }

    fn a_device_is_remembered_for_a_factor_that_is_still_there(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.run(async |store| {
            let (alice, now) = (subject("alice"), stand.now());
            let add = async |device_id: &str, factor: Option<&FactorId>| {
                store.add_device(&alice, &id(device_id), &device(1, now), factor, now).await.expect("asked")
            };
            assert!(!add("d0", None).await, "nobody is enrolled");
            let (one, _) = store.enrol(&alice, new_factor(None, totp(1))).await.expect("enrolled");
            let (two, _) = store.enrol(&alice, new_factor(None, totp(2))).await.expect("enrolled");
            assert!(add("d1", Some(&one)).await && add("d2", None).await);
            store.remove_factor(&alice, &one).await.expect("removed");
            assert!(store.devices(&alice).await.expect("read").is_empty());
            assert!(!add("d3", Some(&one)).await, "its factor is gone");
            assert!(add("d4", Some(&two)).await);
        });
    }

    fn a_device_is_replaced_once_and_ten_are_kept(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.run(async |store| {
            let alice = subject("alice");
            store.enrol(&alice, new_factor(None, totp(1))).await.expect("enrolled");
            for n in 0..12_u8 {
                let name = id(&format!("d{n}"));
                let now = UnixTime::from_secs(stand.now().as_secs() + u64::from(n));
                assert!(store.add_device(&alice, &name, &device(n, now), None, now).await.expect("added"));
            }
            let kept = store.devices(&alice).await.expect("read");
            assert_eq!(kept.len(), 10);
            assert!(kept.iter().all(|kept| kept.id != id("d0") && kept.id != id("d1")), "the oldest have gone");
            let read = store.device(&alice, &id("d5")).await.expect("read").expect("a device");
            let now = UnixTime::from_secs(stand.now().as_secs() + 60);
            let DeviceVerdict::Accept(next) = read.device.judge(&[5; 32], Some("cli"), [99; 32], now) else {
                panic!("not accepted")
            };
            assert!(store.replace_device(&alice, &read, &next, now).await.expect("replaced").is_some());
            assert!(store.replace_device(&alice, &read, &next, now).await.expect("asked").is_none(), "twice");
            assert!(store.device(&subject("bob"), &id("d5")).await.expect("read").is_none());
        });
    }

    fn of_many_devices_at_once_ten_are_kept(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.run(async |store| {
            let (alice, now) = (subject("alice"), stand.now());
            store.enrol(&alice, new_factor(None, totp(1))).await.expect("enrolled");
            let add = async |n: u8| {
                let name = id(&format!("d{n}"));
                store.add_device(&alice, &name, &device(n, now), None, now).await.expect("added")
            };
            for round in [0..15, 15..30_u8] {
                let added = futures_util::future::join_all(round.map(add)).await;
                assert!(added.iter().all(|added| *added), "{added:?}");
                assert_eq!(store.devices(&alice).await.expect("read").len(), 10);
            }
            // The one that came last is there.
            assert!(add(99).await);
            assert!(store.device(&alice, &id("d99")).await.expect("read").is_some());
        });
    }
}

#[test]
fn devices_that_are_over_leave_the_file_as_others_come() {
    let stand = Stand::new(StoreKind::Embedded);
    stand.run(async |store| {
        let (now, later) = (stand.now(), UnixTime::from_secs(stand.now().as_secs() + 7200));
        for name in ["alice", "bob"] {
            store.enrol(&subject(name), new_factor(None, totp(1))).await.expect("enrolled");
        }
        let add = async |name: &str, device_id: &str, now| {
            store.add_device(&subject(name), &id(device_id), &device(1, now), None, now).await.expect("asked")
        };
        assert!(
            add("alice", "d1", now).await && add("alice", "d2", now).await && add("alice", "d3", now).await
        );
        for (device_id, left) in [("d4", 1), ("d5", 0)] {
            assert!(add("bob", device_id, later).await);
            assert_eq!(store.devices(&subject("alice")).await.expect("read").len(), left);
        }
        assert_eq!(store.devices(&subject("bob")).await.expect("read").len(), 2);
    });
}
