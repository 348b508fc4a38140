//! Revocations: kept sealed, handed to one gateway at a time, in order, until they are done.

use std::collections::BTreeSet;

use tfa_gateway::{
    step_up::{
        DueRevocation, Orphan, OrphanClient, Revocation, RevocationFault, RevocationId, RevocationQueue as _,
    },
    store::{Opener, Store},
    types::{Secret, limits::REVOCATIONS_MAX},
};

use crate::{
    access::as_documented,
    stand::{Stand, StoreKind, at_once, on_every_store, run},
};

const LEASE_SECS: u64 = 60;
/// More than any test pushes.
const ALL: usize = 1000;

fn revocation(n: u8) -> Revocation {
    let secret = |text: String| Some(Secret::new(text));
    let client = OrphanClient {
        authorization: secret(format!("Basic authorization-{n}")),
        client_id: Some(format!("client-{n}")),
        client_secret: secret(format!("clientsecret-{n}")),
    };
    let orphan = Orphan {
        access_token: secret(format!("accesstoken-{n}")),
        refresh_token: secret(format!("refreshtoken-{n}")),
        client,
        host: Some(format!("site-{n}.example")),
    };
    Revocation { id: id(n), orphan }
}

fn id(n: u8) -> RevocationId {
    RevocationId::from_random([n; 16])
}

fn push(stand: &Stand, numbers: impl IntoIterator<Item = u8>) {
    let now = stand.now();
    stand.run(async |store| {
        for n in numbers {
            assert_eq!(store.push(&revocation(n), now).await.expect("pushed"), 0);
        }
    });
}

async fn claim_from(stand: &Stand, store: &Store, limit: usize) -> Vec<DueRevocation> {
    store.claim(stand.now(), LEASE_SECS, limit).await.expect("claimed")
}

fn claim(stand: &Stand) -> Vec<DueRevocation> {
    stand.run(async |store| claim_from(stand, store, ALL).await)
}

fn ids(due: &[DueRevocation]) -> Vec<RevocationId> {
    due.iter().map(|due| due.id.clone()).collect()
}

fn backlog(stand: &Stand) -> u64 {
    stand.run(async |store| store.backlog().await).expect("counted")
}

/// Everything that lies in the store, as bytes.
fn at_rest(stand: &Stand) -> Vec<u8> {
    if let Some(redis) = &stand.redis {
        let all = ["KEYS *", "ZRANGE tfa:{revocations}:due 0 -1", "HGETALL tfa:{revocations}:records"];
        let words = |command: &str| redis.cli(&command.split(' ').collect::<Vec<_>>());
        return all.map(words).concat().into_bytes();
    }
    ["store.db", "store.db-wal"]
        .iter()
        .flat_map(|name| std::fs::read(stand.dir.path().join(name)).unwrap_or_default())
        .collect()
}

/// Reads a record by the public layout.
fn read_record(stand: &Stand, n: u8) -> String {
    let id = id(n);
    if let Some(redis) = &stand.redis {
        return redis.cli(&["HGET", "tfa:{revocations}:records", id.as_str()]);
    }
    let file = rusqlite::Connection::open(stand.file()).expect("the file");
    let record: Vec<u8> = file
        .query_row("SELECT record FROM revocations WHERE id = ?1", [id.as_str()], |row| row.get(0))
        .expect("a record");
    String::from_utf8(record).expect("JSON")
}

/// Replaces a record by the public layout.
fn write_record(stand: &Stand, n: u8, record: &str) {
    let id = id(n);
    if let Some(redis) = &stand.redis {
        redis.cli(&["HSET", "tfa:{revocations}:records", id.as_str(), record]);
        return;
    }
    let file = rusqlite::Connection::open(stand.file()).expect("the file");
    file.execute("UPDATE revocations SET record = ?2 WHERE id = ?1", (id.as_str(), record.as_bytes()))
        .expect("written");
}

/// As many revocations as a store keeps, by the public layout; the oldest is `old-1`.
fn fill(stand: &Stand) {
    let now = stand.now().as_secs();
    if let Some(redis) = &stand.redis {
        let script = format!(
            "for i = 1, {REVOCATIONS_MAX} do local id = 'old-' .. i \
             redis.call('ZADD', KEYS[1], {now} + 9, id) redis.call('ZADD', KEYS[2], {now} - 900000 + i, id) \
             redis.call('HSET', KEYS[3], id, 'x') end"
        );
        let (due, born, records) =
            ("tfa:{revocations}:due", "tfa:{revocations}:born", "tfa:{revocations}:records");
        redis.cli(&["EVAL", &script, "3", due, born, records]);
        return;
    }
    backlog(stand); // makes the file
    let file = rusqlite::Connection::open(stand.file()).expect("the file");
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {REVOCATIONS_MAX}) \
         INSERT INTO revocations SELECT 'old-' || i, {now} - 900000 + i, {now} + 9, 0, x'78' FROM n"
    );
    file.execute(&sql, ()).expect("filled");
}

on_every_store! {
    fn a_revocation_comes_back_with_all_that_it_was_given(kind: StoreKind) {
        let stand = Stand::new(kind);
        push(&stand, [7]);
        stand.clock.advance(5);
        let [due] = <[_; 1]>::try_from(claim(&stand)).expect("one");
        assert_eq!((&due.id, due.attempts, due.age_secs), (&id(7), 0, 5));
        let orphan = due.orphan.expect("opened");
        let text = |secret: Option<Secret<String>>| secret.map(|secret| secret.expose().clone());
        assert_eq!(text(orphan.access_token).as_deref(), Some("accesstoken-7"));
        assert_eq!(text(orphan.refresh_token).as_deref(), Some("refreshtoken-7"));
        assert_eq!(text(orphan.client.authorization).as_deref(), Some("Basic authorization-7"));
        assert_eq!(orphan.client.client_id.as_deref(), Some("client-7"));
        assert_eq!(text(orphan.client.client_secret).as_deref(), Some("clientsecret-7"));
        assert_eq!(orphan.host.as_deref(), Some("site-7.example"));
    }

    fn one_that_is_pushed_twice_is_there_once(kind: StoreKind) {
        let stand = Stand::new(kind);
        push(&stand, [1, 1]);
        assert_eq!(backlog(&stand), 1);
    }

    fn of_gateways_that_claim_at_once_each_gets_others(kind: StoreKind) {
        let stand = Stand::new(kind);
        push(&stand, 0..40);
        let opener: Opener = stand.opener();
        let now = stand.now();
        let claimed = at_once(4, |_| {
            run(&opener, async |store| {
                let mut mine = Vec::new();
                loop {
                    let more = store.claim(now, LEASE_SECS, 3).await.expect("claimed");
                    if more.is_empty() {
                        return mine;
                    }
                    mine.extend(ids(&more));
                }
            })
        });
        let all: Vec<RevocationId> = claimed.into_iter().flatten().collect();
        assert_eq!(all.len(), 40);
        assert_eq!(all.iter().map(RevocationId::as_str).collect::<BTreeSet<_>>().len(), 40);
    }

    fn what_a_gateway_leaves_undone_is_due_again_after_its_lease(kind: StoreKind) {
        let stand = Stand::new(kind);
        push(&stand, [1]);
        assert_eq!(claim(&stand).len(), 1);
        stand.clock.advance(LEASE_SECS - 1);
        assert!(claim(&stand).is_empty());
        stand.clock.advance(1);
        assert_eq!(ids(&claim(&stand)), [id(1)]);
        assert_eq!(backlog(&stand), 1);
    }

    fn the_longest_due_come_first(kind: StoreKind) {
        let stand = Stand::new(kind);
        for n in [3, 1, 2] {
            push(&stand, [n]);
            stand.clock.advance(1);
        }
        let first = stand.run(async |store| claim_from(&stand, store, 2).await);
        assert_eq!(ids(&first), [id(3), id(1)]);
        assert_eq!(ids(&claim(&stand)), [id(2)]);
    }

    fn one_that_is_postponed_is_due_when_it_was_said_and_knows_its_attempts(kind: StoreKind) {
        let stand = Stand::new(kind);
        push(&stand, [1]);
        claim(&stand);
        let now = stand.now();
        stand.run(async |store| store.postpone(&id(1), now, 10, 4).await).expect("postponed");
        stand.clock.advance(9);
        assert!(claim(&stand).is_empty());
        stand.clock.advance(1);
        let [due] = <[_; 1]>::try_from(claim(&stand)).expect("one");
        assert_eq!((due.attempts, due.age_secs), (4, 10));
    }

    fn one_that_is_finished_is_gone_and_is_not_brought_back_by_who_comes_late(kind: StoreKind) {
        let stand = Stand::new(kind);
        push(&stand, [1, 2]);
        claim(&stand);
        let now = stand.now();
        stand.run(async |store| {
            store.finish(&id(1)).await.expect("finished");
            store.finish(&id(1)).await.expect("finished twice");
            store.postpone(&id(1), now, 0, 1).await.expect("nothing to postpone");
        });
        stand.clock.advance(LEASE_SECS);
        assert_eq!(ids(&claim(&stand)), [id(2)]);
        assert_eq!(backlog(&stand), 1);
    }

    fn a_revocation_outlives_the_gateway_and_the_store(kind: StoreKind) {
        let mut stand = Stand::new(kind);
        push(&stand, [1]);
        if stand.redis.is_some() {
            stand.site().kill();
            stand.site().restart();
        }
        assert!(claim(&stand)[0].orphan.is_ok());
    }

    fn nothing_of_a_revocation_lies_in_the_clear(kind: StoreKind) {
        let stand = Stand::new(kind);
        push(&stand, [1]);
        let bytes = at_rest(&stand);
        let found = |text: &str| {
            let parts = [text.as_bytes().to_vec(), data_encoding::BASE64.encode(text.as_bytes()).into_bytes()];
            parts.iter().any(|part| bytes.windows(part.len()).any(|window| window == part))
        };
        assert!(found(id(1).as_str()), "the store is looked at");
        for secret in ["accesstoken", "refreshtoken", "authorization-1", "clientsecret", "client-1", "site-1"] {
            assert!(!found(secret), "{secret}");
        }
    }

    fn one_that_was_altered_or_moved_is_an_error_and_in_nobodys_way(kind: StoreKind) {
        let stand = Stand::new(kind);
        push(&stand, 1..=4);
        write_record(&stand, 1, &read_record(&stand, 4));
        write_record(&stand, 2, "{}");
        let due = claim(&stand);
        let opened = |n| due.iter().find(|due| due.id == id(n)).expect("claimed").orphan.as_ref();
        assert!(matches!(opened(1), Err(RevocationFault::Sealed(_))));
        assert!(matches!(opened(2), Err(RevocationFault::Malformed(_))));
        assert!(opened(3).is_ok() && opened(4).is_ok());
    }

    fn one_of_another_key_is_an_error_until_the_key_is_back(kind: StoreKind) {
        let stand = Stand::new(kind);
        push(&stand, [1]);
        let keys = stand.change_keys();
        push(&stand, [2]);
        let due = claim(&stand);
        let opened = |n| due.iter().find(|due| due.id == id(n)).expect("claimed").orphan.as_ref();
        assert!(matches!(opened(1), Err(RevocationFault::Sealed(_))));
        assert!(opened(2).is_ok());
        stand.restore_keys(&keys);
        stand.clock.advance(LEASE_SECS);
        let due = claim(&stand);
        assert!(due.iter().any(|due| due.id == id(1) && due.orphan.is_ok()));
    }

    fn of_too_many_the_oldest_is_dropped(kind: StoreKind) {
        let stand = Stand::new(kind);
        fill(&stand);
        assert_eq!(backlog(&stand), REVOCATIONS_MAX);
        let now = stand.now();
        let dropped = stand.run(async |store| store.push(&revocation(1), now).await).expect("pushed");
        assert_eq!((dropped, backlog(&stand)), (1, REVOCATIONS_MAX));
        assert_eq!(ids(&claim(&stand)), [id(1)]);
        stand.clock.advance(9);
        let next = stand.run(async |store| claim_from(&stand, store, ALL).await);
        assert!(next.len() == ALL && next.iter().all(|due| due.id.as_str() != "old-1"));
    }
}

#[test]
fn a_file_of_the_first_layout_gets_a_place_for_revocations_and_keeps_its_enrolments() {
    let stand = Stand::new(StoreKind::Embedded);
    let totp = stand.enrol_alice();
    let file = rusqlite::Connection::open(stand.file()).expect("the file");
    file.execute_batch(
        "DROP TABLE refresh; DROP TABLE revocations; DROP TABLE recovery_ledger; DROP TABLE trail; DROP TABLE sessions; DROP TABLE devices; PRAGMA user_version = 1;",
    )
    .expect("as it was");
    drop(file);
    push(&stand, [1]);
    assert_eq!(ids(&claim(&stand)), [id(1)]);
    assert_eq!(stand.alice_presents(&totp.passcode_now(stand.now())), crate::stand::accepted("f1"));
}

#[test]
fn the_acl_user_of_the_documents_may_keep_revocations() {
    for kind in [StoreKind::Redis, StoreKind::Sentinel, StoreKind::Cluster] {
        may_keep_revocations(&as_documented(kind));
    }
}

fn may_keep_revocations(stand: &Stand) {
    push(stand, [1, 2]);
    assert_eq!(claim(stand).len(), 2);
    let now = stand.now();
    stand.run(async |store| {
        store.postpone(&id(1), now, 10, 4).await.expect("postponed");
        store.finish(&id(2)).await.expect("finished");
    });
    assert_eq!(backlog(stand), 1);
    fill(stand);
    let dropped = stand.run(async |store| store.push(&revocation(3), now).await).expect("pushed");
    assert_eq!(dropped, 2);
}
