//! The store is gone, slow, full or read-only: nothing is accepted, and it heals by itself.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use tfa_gateway::{
    policy::Enrolment,
    step_up::{EnrolmentStore as _, StoreError},
};

use crate::stand::{Stand, StoreKind, accepted, in_the_end, subject};

/// Far more than a timeout of half a second, for a machine that is busy.
const AT_MOST: Duration = Duration::from_secs(10);

fn impatient() -> Stand {
    let mut stand = Stand::new(StoreKind::Redis);
    stand.timeout = Duration::from_millis(500);
    stand
}

#[test]
fn a_killed_redis_is_an_error_and_the_first_read_after_its_return_succeeds() {
    // A Redis that is gone says so: no timeout is waited for, and a busy machine is no outage.
    let mut stand = Stand::new(StoreKind::Redis);
    stand.enrol_alice();
    let opener = stand.opener();
    crate::stand::run(&opener, async |store| {
        assert!(store.load(&subject("alice")).await.is_ok());
        stand.redis().kill();
        let since = Instant::now();
        for _ in 0..50 {
            assert!(store.load(&subject("alice")).await.is_err());
        }
        assert!(since.elapsed() < AT_MOST, "{:?}", since.elapsed());
        stand.redis().restart();
        in_the_end(async || store.load(&subject("alice")).await.ok()).await;
        // Restarted between two reads: the connection is dead, and nobody has noticed yet.
        stand.redis().kill();
        stand.redis().restart();
        assert!(matches!(store.load(&subject("alice")).await, Ok(Enrolment::Active(_))));
    });
}

#[test]
fn a_frozen_redis_is_a_timeout_and_then_works_again() {
    let mut stand = impatient();
    let totp = stand.enrol_alice();
    let code = totp.passcode_now(stand.now());
    let opener = stand.opener();
    crate::stand::run(&opener, async |store| {
        assert!(store.load(&subject("alice")).await.is_ok());
        stand.redis().freeze();
        let loaded = store.load(&subject("alice")).await;
        assert!(matches!(loaded, Err(StoreError::TimedOut { after_ms: 500 })), "{loaded:?}");
        stand.redis().thaw();
        in_the_end(async || store.load(&subject("alice")).await.ok()).await;
        assert_eq!(stand.present(store, "alice", &code).await.expect("settled"), accepted("f1"));
    });
}

#[test]
fn a_full_redis_accepts_nothing_and_forgets_nothing() {
    let mut stand = impatient();
    let totp = stand.enrol_alice();
    stand.alice_presents("wrong");
    stand.redis().cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let code = totp.passcode_now(stand.now()).to_string();
    let settled = stand.run(async |store| stand.present(store, "alice", &code).await);
    assert!(settled.is_err(), "{settled:?}");
    assert_eq!(stand.redis().cli(&["HGET", "tfa:{alice}:ledger", "failures_in_a_row"]), "1");
    stand.redis().cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(stand.alice_presents(&code), accepted("f1"));
}

#[test]
fn a_read_only_replica_accepts_nothing() {
    let mut stand = impatient();
    let totp = stand.enrol_alice();
    // A replica of nobody: it answers reads with what it has, and refuses writes.
    stand.redis().cli(&["CONFIG", "SET", "replica-serve-stale-data", "yes"]);
    stand.redis().cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let code = totp.passcode_now(stand.now()).to_string();
    let settled = stand.run(async |store| stand.present(store, "alice", &code).await);
    assert!(settled.is_err(), "{settled:?}");
    stand.redis().cli(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(stand.alice_presents(&code), accepted("f1"));
}

#[test]
fn scripts_that_redis_has_forgotten_are_loaded_again() {
    let mut stand = impatient();
    let totp = stand.enrol_alice();
    let code = totp.passcode_now(stand.now()).to_string();
    let opener = stand.opener();
    crate::stand::run(&opener, async |store| {
        stand.present(store, "alice", "wrong").await.expect("settled");
        stand.redis().cli(&["SCRIPT", "FLUSH"]);
        assert_eq!(stand.present(store, "alice", &code).await.expect("settled"), accepted("f1"));
    });
}

/// What is learned of Redis must not be lost with the client for whom it was to be learned.
#[test]
fn a_redis_that_lost_its_data_is_an_error_even_if_the_first_load_was_given_up() {
    let mut stand = impatient();
    stand.timeout = AT_MOST;
    stand.enrol_alice();
    // As if a site's own code had written the enrolment: it knows of no marker.
    stand.redis().cli(&["DEL", "tfa:marker"]);
    let opener = stand.opener();
    crate::stand::run(&opener, async |store| {
        let alice = subject("alice");
        stand.redis().cli(&["CLIENT", "PAUSE", "60000", "WRITE"]);
        let is_marking = async {
            while !stand.redis().cli(&["CLIENT", "LIST"]).contains("cmd=set") {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            loaded = store.load(&alice) => panic!("not while writes are held: {loaded:?}"),
            () = is_marking => {} // the client leaves
        }
        stand.redis().cli(&["CLIENT", "UNPAUSE"]);
        assert!(matches!(store.load(&alice).await, Ok(Enrolment::Active(_))));
        stand.redis().cli(&["FLUSHALL"]);
        stand.redis().cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        let loaded = store.load(&alice).await;
        assert!(loaded.is_err(), "{loaded:?}");
    });
}

#[test]
fn a_full_redis_is_marked_when_it_has_room_again() {
    let mut stand = impatient();
    stand.enrol_alice();
    stand.redis().cli(&["DEL", "tfa:marker"]);
    stand.redis().cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let opener = stand.opener();
    crate::stand::run(&opener, async |store| {
        let alice = subject("alice");
        assert!(matches!(store.load(&alice).await, Ok(Enrolment::Active(_))));
        stand.redis().cli(&["CONFIG", "SET", "maxmemory", "0"]);
        assert!(matches!(store.load(&alice).await, Ok(Enrolment::Active(_))));
        stand.redis().cli(&["FLUSHALL"]);
        stand.redis().cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        assert!(store.load(&alice).await.is_err());
    });
}

#[test]
fn an_embedded_store_that_was_replaced_while_it_was_open_serves_nobody() {
    let stand = Stand::new(StoreKind::Embedded);
    let totp = stand.enrol_alice();
    let code = totp.passcode_now(stand.now()).to_string();
    stand.run(async |store| {
        assert!(matches!(store.load(&subject("alice")).await, Ok(Enrolment::Active(_))));
        let aside = stand.file().with_extension("aside");
        fs::copy(stand.file(), &aside).expect("copied");
        fs::rename(&aside, stand.file()).expect("replaced");
        assert!(store.load(&subject("alice")).await.is_err());
        assert!(store.load(&subject("bob")).await.is_err());
        let settled = stand.present(store, "alice", &code).await;
        assert!(settled.is_err(), "{settled:?}");
    });
}

#[test]
fn an_embedded_store_that_others_can_write_is_refused_by_path_and_mode() {
    let stand = Stand::new(StoreKind::Embedded);
    stand.enrol_alice();
    fs::set_permissions(stand.file(), fs::Permissions::from_mode(0o666)).expect("opened to all");
    let said = stand.try_opener().err().expect("refused").to_string();
    assert!(said.contains("0666") && said.contains("chmod 600"), "{said}");
}
