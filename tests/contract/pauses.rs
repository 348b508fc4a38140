//! A Redis that is frozen, loads, is busy or was demoted: requests fail at once, nothing is settled twice, and it
//! heals by itself.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use tfa_gateway::{
    policy::{Enrolment, lockout::Settlement},
    step_up::{EnrolmentStore as _, StoreError},
    store::Store,
};

use crate::{
    stand::{Stand, StoreKind, accepted, in_the_end, run, subject},
    support::{PATIENCE, spawn},
};

fn impatient() -> Stand {
    let mut stand = Stand::new(StoreKind::Redis);
    stand.timeout = Duration::from_millis(500);
    stand
}

/// Loads alice until it succeeds.
async fn wait_for_alice(store: &Store) {
    in_the_end(async || store.load(&subject("alice")).await.ok()).await;
}

/// Loads alice for so long, always in vain. Answers how often.
async fn loads_in_vain(store: &Store, time: Duration) -> usize {
    let (since, mut count) = (Instant::now(), 0);
    while since.elapsed() < time {
        let loaded = store.load(&subject("alice")).await;
        assert!(
            matches!(loaded, Err(StoreError::Unreachable(_) | StoreError::TimedOut { .. })),
            "{loaded:?}"
        );
        count += 1;
        tokio::task::yield_now().await;
    }
    count
}

#[test]
fn a_frozen_redis_costs_one_timeout_and_then_next_to_nothing() {
    let mut stand = impatient();
    stand.enrol_alice();
    run(&stand.opener(), async |store| {
        wait_for_alice(store).await;
        stand.redis().freeze();
        let first = store.load(&subject("alice")).await;
        assert!(matches!(first, Err(StoreError::TimedOut { after_ms: 500 })), "{first:?}");
        // Were each to wait for its own timeout, there would be six.
        let count = loads_in_vain(store, Duration::from_secs(3)).await;
        assert!(count > 500, "{count}");
        stand.redis().thaw();
        wait_for_alice(store).await;
    });
}

#[test]
fn a_redis_that_was_never_there_costs_next_to_nothing_either() {
    let mut stand = impatient();
    stand.redis().kill();
    run(&stand.opener(), async |store| {
        let count = loads_in_vain(store, Duration::from_secs(1)).await;
        assert!(count > 100, "{count}");
        stand.redis().restart();
        wait_for_alice(store).await;
    });
}

/// Whether Redis answered that it is loading its data, rather than being unreachable.
fn says_loading(error: &StoreError) -> bool {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(one) = cause {
        if one.to_string().contains("loading the dataset") {
            return true;
        }
        cause = one.source();
    }
    false
}

#[test]
fn a_redis_that_loads_its_data_is_waited_for() {
    let mut stand = impatient();
    // It takes its time for each word of a connection that begins.
    stand.timeout = Duration::from_secs(5);
    stand.enrol_alice();
    stand.redis().cli(&["EVAL", "for i = 1, 30000 do redis.call('SET', 'other:' .. i, i) end", "0"]);
    run(&stand.opener(), async |store| {
        wait_for_alice(store).await;
        stand.redis().kill();
        // Nine seconds for all keys; it looks at its clients after every thousand.
        let launched = stand.redis().launch(&["--key-load-delay", "300"]);
        launched.wait_for("Server initialized");
        // It says what it does, and nobody takes that for "not enrolled".
        in_the_end(async || store.load(&subject("alice")).await.err().filter(says_loading)).await;
        assert!(store.load(&subject("nobody")).await.is_err());
        launched.wait();
        wait_for_alice(store).await;
    });
}

#[test]
fn a_redis_that_is_busy_settles_nothing_and_then_once() {
    let mut stand = impatient();
    let totp = stand.enrol_alice();
    let code = totp.passcode_now(stand.now()).to_string();
    stand.redis().cli(&["CONFIG", "SET", "lua-time-limit", "20"]);
    let opener = stand.opener();
    run(&opener, async |store| {
        wait_for_alice(store).await;
        let mut endless = std::process::Command::new("redis-cli");
        endless.args(["-p", &stand.redis().port().to_string(), "EVAL", "while true do end", "0"]);
        let mut endless = spawn(&endless);
        loads_in_vain_until_busy(store).await;
        let count = loads_in_vain(store, Duration::from_secs(1)).await;
        assert!(count > 100, "{count}");
        assert!(stand.present(store, "alice", &code).await.is_err());
        stand.redis().cli(&["SCRIPT", "KILL"]);
        endless.wait().expect("ended");
        wait_for_alice(store).await;
        assert_eq!(stand.present(store, "alice", &code).await.expect("settled"), accepted("f1"));
        assert_eq!(stand.present(store, "alice", &code).await.expect("settled"), Settlement::Replayed);
    });
}

async fn loads_in_vain_until_busy(store: &Store) {
    let since = Instant::now();
    while store.load(&subject("alice")).await.is_ok() {
        assert!(since.elapsed() < PATIENCE, "it does not get busy");
    }
}

#[test]
fn a_master_that_is_demoted_under_a_living_connection_is_left() {
    let mut stand = impatient();
    let totp = stand.enrol_alice();
    let code = totp.passcode_now(stand.now()).to_string();
    run(&stand.opener(), async |store| {
        wait_for_alice(store).await;
        stand.redis().cli(&["REPLICAOF", "127.0.0.1", "1"]);
        let settled = stand.present(store, "alice", &code).await;
        assert!(settled.is_err(), "{settled:?}");
        // Nor does a replica say any more who is enrolled: it may not know of the latest.
        assert!(store.load(&subject("nobody")).await.is_err());
        stand.redis().cli(&["REPLICAOF", "NO", "ONE"]);
        wait_for_alice(store).await;
        assert!(matches!(store.load(&subject("nobody")).await, Ok(Enrolment::Absent)));
        assert_eq!(stand.present(store, "alice", &code).await.expect("settled"), accepted("f1"));
    });
}
