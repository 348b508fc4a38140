//! A Sentinel makes the replica the master: nothing is restarted, and no passcode is accepted twice.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tfa_gateway::{
    policy::{Enrolment, lockout::Settlement},
    step_up::{EnrolmentRegistry as _, EnrolmentStore as _},
    types::UnixTime,
};

use crate::{
    stand::{Stand, accepted, in_the_end, new_factor, present_at, run, subject, totp},
    support::{
        Clock, RedisServer,
        site::{MASTER, Particulars, RedisSite, Topology, wait_until},
    },
};

const PEOPLE: usize = 60;

fn name(n: usize) -> String {
    format!("person-{n}")
}

/// A stand whose Sentinel calls a master dead after a second.
fn stand() -> Stand {
    let clock = Clock::real();
    let site = RedisSite::start(
        Topology::Sentinel,
        &clock,
        Particulars { dead_after_ms: 1000, ..Particulars::default() },
    );
    let mut stand = Stand::on(Some(site), clock);
    stand.timeout = Duration::from_millis(1500);
    stand
}

impl Stand {
    /// Waits until the Sentinel names another master than the first one.
    fn wait_for_failover(&self) {
        self.wait_for_another_master(|_| ());
    }

    /// Has the Sentinel make the replica the master. It refuses while it has not heard of a replica that is well, or is
    /// still about an attempt that came to nothing, so it is told until it has done it.
    fn fail_over(&self) {
        self.wait_for_another_master(|sentinel| drop(sentinel.cli(&["SENTINEL", "FAILOVER", MASTER])));
    }

    fn wait_for_another_master(&self, until_then: impl Fn(&RedisServer)) {
        let site = self.redis.as_ref().expect("a site");
        let (sentinel, old) =
            (site.sentinel.as_ref().expect("a Sentinel"), site.servers[0].port().to_string());
        wait_until("the Sentinel names another master", || {
            let named = sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
            let is_another = !named.is_empty() && !named.contains(&old);
            if !is_another {
                until_then(sentinel);
            }
            is_another
        });
    }
}

#[test]
fn what_the_replica_did_not_get_was_not_accepted() {
    let mut stand = stand();
    let totp = stand.enrol_alice();
    let now = stand.now();
    let code = totp.passcode_now(now).to_string();
    run(&stand.opener(), async |store| {
        let present = async || present_at(store, "alice", &code, now).await;
        stand.site().servers[1].freeze();
        let mut reads = 0;
        let reading = async {
            loop {
                store.load(&subject("alice")).await.expect("reads do not wait behind writes");
                reads += 1;
            }
        };
        let settled = tokio::select! { settled = present() => settled, () = reading => unreachable!() };
        assert!(settled.is_err() && reads > 10, "{settled:?}, {reads}");
        let enrolled = store.enrol(&subject("bob"), new_factor(Some("f1"), totp.clone())).await;
        assert!(enrolled.is_err(), "{enrolled:?}");
        stand.site().servers[0].kill();
        stand.site().servers[1].thaw();
        stand.wait_for_failover();
        stand.site().restart_as_replica();
        // While nobody has a copy it is an error, each time, and from the second on it was used.
        let settled = in_the_end(async || present().await.ok()).await;
        assert!(settled == accepted("f1") || settled == Settlement::Replayed, "{settled:?}");
        assert_eq!(in_the_end(async || present().await.ok()).await, Settlement::Replayed);
    });
}

/// Presents everybody's passcode from several threads until each was answered, through what `happens` meanwhile.
fn under_load(stand: &mut Stand, happens: impl FnOnce(&mut Stand)) {
    let now = stand.now();
    stand.run(async |store| {
        for n in 0..PEOPLE {
            let new = new_factor(Some("f1"), totp(u8::try_from(n).expect("a byte")));
            store.enrol(&subject(&name(n)), new).await.expect("enrolled");
        }
    });
    let opener = stand.opener();
    let (accepted_of, errors) = (Mutex::new(BTreeMap::<usize, usize>::new()), Mutex::new(0));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for hand in 0..4 {
            let (opener, accepted_of, errors, is_over) = (opener.clone(), &accepted_of, &errors, &is_over);
            scope.spawn(move || {
                run(&opener, async |store| {
                    // Once more after it is over: whatever was accepted before must be used by then.
                    let mut is_last = false;
                    while !is_last {
                        is_last = is_over.load(Ordering::SeqCst);
                        for n in (0..PEOPLE).map(|n| (n + hand * 7) % PEOPLE) {
                            let settled = in_the_end(async || {
                                let settled = attempt(store, n, now).await;
                                *errors.lock().expect("a count") += usize::from(settled.is_none());
                                settled
                            })
                            .await;
                            if settled == accepted("f1") {
                                *accepted_of.lock().expect("a map").entry(n).or_default() += 1;
                            } else {
                                assert_eq!(settled, Settlement::Replayed);
                            }
                        }
                    }
                });
            });
        }
        let accepted = || accepted_of.lock().expect("a map").len();
        // Set when this fails, too, or the hands would go on and hide why.
        let _over = SetWhenDropped(&is_over);
        wait_until("half of them are accepted", || accepted() > PEOPLE / 2);
        happens(stand);
    });
    let accepted_of = accepted_of.into_inner().expect("a map");
    assert!(accepted_of.values().all(|times| *times == 1), "{accepted_of:?}, {errors:?}");
    // Those whose answer was an error were used up by it, and the next ones are accepted.
    run(&opener, async |store| {
        for n in 0..PEOPLE {
            let mut next = now;
            let settled = in_the_end(async || {
                next = UnixTime::from_secs(next.as_secs() + 60);
                attempt(store, n, next).await
            });
            assert_eq!(settled.await, accepted("f1"), "{n}");
            assert_eq!(in_the_end(async || attempt(store, n, next).await).await, Settlement::Replayed, "{n}");
        }
    });
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

async fn attempt(store: &tfa_gateway::store::Store, n: usize, now: UnixTime) -> Option<Settlement> {
    let found = store.load(&subject(&name(n))).await;
    assert!(!matches!(found, Ok(Enrolment::Absent)), "somebody who is enrolled looks as if not");
    found.ok()?;
    let code = totp(u8::try_from(n).expect("a byte")).passcode_now(now);
    present_at(store, &name(n), &code, now).await.ok()
}

#[test]
fn a_master_that_dies_under_load_lets_no_passcode_in_twice() {
    let mut stand = stand();
    under_load(&mut stand, |stand| {
        stand.site().servers[0].kill();
        stand.wait_for_failover();
        stand.site().restart_as_replica();
    });
}

#[test]
fn a_master_that_is_replaced_under_load_lets_no_passcode_in_twice() {
    let mut stand = stand();
    under_load(&mut stand, |stand| {
        stand.fail_over();
        stand.site().wait_for_old_master();
    });
}

/// Cut off from its Sentinel alone, the old master goes on, and the gateway's connection to it does, too.
#[test]
fn a_master_that_the_sentinel_no_longer_names_is_left_even_if_it_answers() {
    let mut stand = stand();
    stand.enrol_alice();
    run(&stand.opener(), async |store| {
        assert!(store.load(&subject("alice")).await.is_ok());
        let new = stand.site().servers[1].port().to_string();
        // The replica is a master of its own from now on, and the Sentinel is told to look after that one.
        stand.site().servers[1].cli(&["REPLICAOF", "NO", "ONE"]);
        stand.site().servers[1].cli(&["DEL", "tfa:{alice}:enrolment"]);
        let sentinel = stand.site().sentinel.as_ref().expect("a Sentinel");
        sentinel.cli(&["SENTINEL", "REMOVE", MASTER]);
        sentinel.cli(&["SENTINEL", "MONITOR", MASTER, "127.0.0.1", &new, "1"]);
        in_the_end(async || {
            let found = store.load(&subject("alice")).await;
            matches!(found, Ok(Enrolment::Absent)).then_some(())
        })
        .await;
    });
}
