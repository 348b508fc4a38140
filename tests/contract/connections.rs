//! One thread has one connection to Redis, however many requests are under way on it.

use futures_util::future::join_all;
use tfa_gateway::step_up::EnrolmentStore as _;

use crate::stand::{Stand, StoreKind, at_once, run, subject};

const REQUESTS: usize = 200;

impl Stand {
    /// How many connections were ever made to its Redis, but for that of whoever asks.
    fn connections_made(&self) -> u64 {
        let site = self.redis.as_ref().expect("a stand with Redis");
        let stats = site.cli(&["INFO", "stats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        line.expect("the count").trim().parse::<u64>().expect("a number") - 1
    }
}

#[test]
fn requests_of_one_thread_share_one_connection() {
    let stand = Stand::new(StoreKind::Redis);
    stand.enrol_alice();
    let (opener, before) = (stand.opener(), stand.connections_made());
    run(&opener, async |store| {
        let alice = subject("alice");
        let loaded = join_all((0..REQUESTS).map(|_| store.load(&alice))).await;
        assert!(loaded.iter().all(Result::is_ok), "{loaded:?}");
    });
    // Each look at the count is a connection, too.
    assert_eq!(stand.connections_made() - before, 1 + 1);
}

#[test]
fn each_thread_has_a_connection_of_its_own() {
    const THREADS: usize = 3;
    let stand = Stand::new(StoreKind::Redis);
    stand.enrol_alice();
    let (opener, before) = (stand.opener(), stand.connections_made());
    let loaded = at_once(THREADS, |_| {
        run(&opener, async |store| {
            let alice = subject("alice");
            join_all((0..REQUESTS).map(|_| store.load(&alice))).await.iter().filter(|one| one.is_ok()).count()
        })
    });
    assert_eq!(loaded, [REQUESTS; THREADS]);
    assert_eq!(stand.connections_made() - before, THREADS as u64 + 1);
}
