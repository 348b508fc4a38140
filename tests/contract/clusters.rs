//! A cluster whose slots move and whose masters die: nobody who is enrolled looks as if not, and nobody restarts.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tfa_gateway::{
    policy::{Enrolment, lockout::Settlement},
    step_up::{EnrolmentRegistry as _, EnrolmentStore as _, ListCursor, ListQuery, StoreError},
    store::Store,
    types::UnixTime,
};

use crate::{
    stand::{Stand, StoreKind, accepted, in_the_end, new_factor, present_at, run, subject, totp},
    support::{
        Clock, PATIENCE, RedisServer,
        site::{Particulars, RedisSite, Topology, free_port_with_bus, wait_until},
    },
};

const PEOPLE: usize = 40;

fn name(n: usize) -> String {
    format!("person-{n}")
}

fn enrol_all(stand: &Stand) {
    stand.run(async |store| {
        for n in 0..PEOPLE {
            let new = new_factor(Some("f1"), totp(u8::try_from(n).expect("a byte")));
            store.enrol(&subject(&name(n)), new).await.expect("enrolled");
        }
    });
}

async fn is_enrolled(store: &Store, n: usize) -> Result<bool, StoreError> {
    store.load(&subject(&name(n))).await.map(|enrolment| matches!(enrolment, Enrolment::Active(_)))
}

async fn present(store: &Store, n: usize, now: UnixTime) -> Result<Settlement, StoreError> {
    let code = totp(u8::try_from(n).expect("a byte")).passcode_now(now);
    present_at(store, &name(n), &code, now).await
}

/// The server that has a person's keys.
fn owner(site: &RedisSite, n: usize) -> usize {
    let key = format!("tfa:{{{}}}:enrolment", subject(&name(n)));
    let has = |server: &RedisServer| server.cli(&["EXISTS", &key]) == "1";
    site.servers.iter().position(has).expect("some master has it")
}

fn id(server: &RedisServer) -> String {
    server.cli(&["CLUSTER", "MYID"])
}

/// Moves the slot of a person to the next master, key by key, as `redis-cli --cluster reshard` does.
fn move_slot_of(site: &RedisSite, n: usize) {
    let from = owner(site, n);
    let to = (from + 1) % site.servers.len();
    let (source, target) = (&site.servers[from], &site.servers[to]);
    let slot = source.cli(&["CLUSTER", "KEYSLOT", &format!("{{{}}}", subject(&name(n)))]);
    let port = target.port().to_string();
    assert_eq!(target.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(source)]), "OK");
    assert_eq!(source.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(target)]), "OK");
    loop {
        let key = source.cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "1"]);
        if key.is_empty() {
            break;
        }
        source.cli(&["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"]);
    }
    for server in [target, source] {
        assert_eq!(server.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(target)]), "OK");
    }
}

#[test]
fn slots_that_move_under_load_are_followed() {
    let stand = Stand::new(StoreKind::Cluster);
    enrol_all(&stand);
    let (opener, site) = (stand.opener(), stand.redis.as_ref().expect("a cluster"));
    let is_over = AtomicBool::new(false);
    let accepted_of = Mutex::new(vec![0; PEOPLE]);
    thread::scope(|scope| {
        for hand in 0..3 {
            let (opener, is_over, accepted_of, now) = (opener.clone(), &is_over, &accepted_of, stand.now());
            scope.spawn(move || {
                run(&opener, async |store| {
                    while !is_over.load(Ordering::SeqCst) {
                        for n in (0..PEOPLE).map(|n| (n + hand * 13) % PEOPLE) {
                            assert!(in_the_end(async || is_enrolled(store, n).await.ok()).await, "{n}");
                            let settled = in_the_end(async || present(store, n, now).await.ok()).await;
                            if settled == accepted("f1") {
                                accepted_of.lock().expect("counts")[n] += 1;
                            } else {
                                assert_eq!(settled, Settlement::Replayed);
                            }
                            // Four keys in one script.
                            if n % 8 == hand {
                                let label = Some(format!("phone {hand}"));
                                let id = tfa_gateway::types::FactorId::parse("f1").expect("an id");
                                let subject = subject(&name(n));
                                in_the_end(async || {
                                    store.rename_factor(&subject, &id, label.clone()).await.ok()
                                })
                                .await;
                            }
                        }
                    }
                });
            });
        }
        for n in 0..PEOPLE {
            move_slot_of(site, n);
        }
        is_over.store(true, Ordering::SeqCst);
    });
    let accepted_of = accepted_of.into_inner().expect("counts");
    // A passcode whose answer was an error, on a machine that is too busy, may be used up by it.
    assert!(accepted_of.iter().all(|times| *times <= 1), "{accepted_of:?}");
    assert!(accepted_of.iter().sum::<usize>() > PEOPLE / 2, "{accepted_of:?}");
    let answers = site.everywhere(&["INFO", "errorstats"]).concat();
    assert!(answers.contains("errorstat_MOVED") && answers.contains("errorstat_ASK"), "{answers}");
}

#[test]
fn a_master_that_comes_back_empty_is_not_used_and_the_others_are() {
    let mut stand = Stand::new(StoreKind::Cluster);
    stand.timeout = Duration::from_secs(2);
    enrol_all(&stand);
    let site = stand.redis.as_ref().expect("a cluster");
    let on_first: Vec<usize> = (0..PEOPLE).filter(|n| owner(site, *n) == 0).collect();
    assert!(!on_first.is_empty() && on_first.len() < PEOPLE);
    run(&stand.opener(), async |store| {
        for n in 0..PEOPLE {
            assert!(is_enrolled(store, n).await.expect("loaded"));
        }
        stand.redis().kill();
        stand.redis().restart_empty();
        stand.site().settle();
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(3) {
            for n in 0..PEOPLE {
                let found = is_enrolled(store, n).await;
                assert_eq!(found.is_err(), on_first.contains(&n), "{n}: {found:?}");
            }
        }
    });
    // A gateway that is started now knows it if it was told to.
    stand.must_exist = true;
    assert!(stand.run(async |store| is_enrolled(store, on_first[0]).await).is_err());
    stand.redis().kill();
    stand.redis().restore();
    stand.site().settle();
    assert!(stand.run(async |store| is_enrolled(store, on_first[0]).await).expect("loaded"));
}

/// As if a slot had been given away without its keys.
#[test]
fn slots_that_came_to_a_master_without_their_marker_are_not_used() {
    let mut stand = Stand::new(StoreKind::Cluster);
    stand.timeout = Duration::from_secs(2);
    enrol_all(&stand);
    run(&stand.opener(), async |store| {
        for n in 0..PEOPLE {
            assert!(is_enrolled(store, n).await.expect("loaded"));
        }
        // All slots of the first master go to the second one, and nothing else does.
        let site = stand.redis.as_ref().expect("a cluster");
        let moved: Vec<usize> = (0..PEOPLE).filter(|n| owner(site, *n) == 0).collect();
        let new = id(&site.servers[1]);
        site.servers[0].cli(&["FLUSHALL"]);
        let set_slot = |slot| format!("CLUSTER SETSLOT {slot} NODE {new}");
        let commands = (0..=5460).map(set_slot).collect::<Vec<_>>().join("\n");
        for server in [1, 0, 2] {
            site.servers[server].cli_lines(&commands);
        }
        let since = Instant::now();
        while let Ok(is) = is_enrolled(store, moved[0]).await {
            assert!(is, "somebody who is enrolled looks as if not");
            assert!(since.elapsed() < PATIENCE, "it is not noticed");
        }
        assert!(is_enrolled(store, moved[0]).await.is_err());
    });
}

#[test]
fn a_master_that_dies_is_replaced_by_its_replica_and_the_others_go_on() {
    let clock = Clock::real();
    let site = RedisSite::start(
        Topology::Cluster,
        &clock,
        Particulars { dead_after_ms: 1000, ..Particulars::default() },
    );
    // One more node, the replica of the first.
    let port = free_port_with_bus();
    let replica = RedisServer::start_node(port, &clock, None, "", &["--cluster-node-timeout", "1000"]);
    let first = id(&site.servers[0]);
    replica.cli(&["CLUSTER", "MEET", "127.0.0.1", &site.servers[0].port().to_string()]);
    wait_until("they have met", || replica.cli(&["CLUSTER", "NODES"]).lines().count() == 4);
    wait_until("it is a replica", || replica.cli_may_fail(&["CLUSTER", "REPLICATE", &first]) == "OK");
    wait_until("it follows", || replica.cli(&["INFO", "replication"]).contains("master_link_status:up"));
    for server in &site.servers {
        wait_until("all know it", || server.cli(&["CLUSTER", "NODES"]).contains("slave"));
    }
    site.settle();
    let mut stand = Stand::on(Some(site), clock);
    stand.timeout = Duration::from_millis(1500);
    enrol_all(&stand);
    let site = stand.redis.as_ref().expect("a cluster");
    let on_first: Vec<usize> = (0..PEOPLE).filter(|n| owner(site, *n) == 0).collect();
    wait_until("the replica has all", || {
        replica.cli(&["DBSIZE"]) == stand.redis.as_ref().expect("a cluster").servers[0].cli(&["DBSIZE"])
    });
    let now = stand.now();
    run(&stand.opener(), async |store| {
        for n in 0..PEOPLE {
            assert!(is_enrolled(store, n).await.expect("loaded"));
        }
        stand.redis().kill();
        for n in on_first {
            let is = in_the_end(async || is_enrolled(store, n).await.ok()).await;
            assert!(is, "somebody who is enrolled looks as if not");
        }
        for n in 0..PEOPLE {
            let mut is_first = true;
            let settled = in_the_end(async || {
                let settled = present(store, n, now).await.ok();
                is_first &= settled.is_some();
                settled
            });
            let settled = settled.await;
            // An error may have used it up.
            assert!(settled == accepted("f1") || !is_first && settled == Settlement::Replayed, "{settled:?}");
        }
    });
}

#[test]
fn a_frozen_master_costs_the_others_nothing() {
    let mut stand = Stand::new(StoreKind::Cluster);
    stand.timeout = Duration::from_millis(500);
    enrol_all(&stand);
    let site = stand.redis.as_ref().expect("a cluster");
    let on_first: Vec<usize> = (0..PEOPLE).filter(|n| owner(site, *n) == 0).collect();
    run(&stand.opener(), async |store| {
        for n in 0..PEOPLE {
            assert!(is_enrolled(store, n).await.expect("loaded"));
        }
        stand.redis().freeze();
        let (since, mut rounds) = (Instant::now(), 0);
        while since.elapsed() < Duration::from_secs(4) {
            for n in 0..PEOPLE {
                if on_first.contains(&n) {
                    assert!(is_enrolled(store, n).await.is_err(), "{n}");
                } else {
                    assert!(in_the_end(async || is_enrolled(store, n).await.ok()).await, "{n}");
                }
            }
            in_the_end(async || store.ping().await.ok()).await; // two of three answer
            rounds += 1;
        }
        // Were each to wait for its own timeout, there would not even be one.
        assert!(rounds > 10, "{rounds}");
        stand.redis().thaw();
        assert!(in_the_end(async || is_enrolled(store, on_first[0]).await.ok()).await);
    });
}

#[test]
fn a_list_goes_on_at_the_master_where_it_stopped_and_nowhere_else() {
    let stand = Stand::new(StoreKind::Cluster);
    enrol_all(&stand);
    stand.run(async |store| {
        let mut query = ListQuery { limit: 5, ..ListQuery::default() };
        let page = store.list(&query).await.expect("a page");
        let ListCursor(cursor) = page.next.expect("there is more");
        assert!(cursor.starts_with("127.0.0.1:"), "{cursor}");
        for wrong in ["10.0.0.1:6379/0", "0", "127.0.0.1:1", "127.0.0.1:x/0", "/", "127.0.0.1:6379/-1"] {
            query.cursor = Some(ListCursor(wrong.to_owned()));
            assert!(matches!(store.list(&query).await, Err(StoreError::Refused(_))), "{wrong}");
        }
    });
}

#[test]
fn a_cluster_that_is_taken_for_one_server_is_an_error() {
    let mut stand = Stand::new(StoreKind::Cluster);
    enrol_all(&stand);
    stand.site().pretend_to_be(Topology::Standalone);
    stand.run(async |store| {
        let mut refused = 0;
        for n in 0..PEOPLE {
            match is_enrolled(store, n).await {
                Ok(is) => assert!(is),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 0);
    });
}
