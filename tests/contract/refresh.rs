//! What is remembered of refresh tokens.

use tfa_gateway::{
    policy::refresh::{Basis, RefreshRecord},
    step_up::RefreshRegistry as _,
    types::{Secret, UnixTime},
};

use crate::stand::{START, Stand, StoreKind, on_every_store, subject};

fn token(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn record(began_at: u64) -> RefreshRecord {
    RefreshRecord {
        subject: Some(subject("alice")),
        began_at: UnixTime::from_secs(began_at),
        basis: Basis::Cleared,
    }
}

on_every_store! {
    fn a_record_comes_back_for_its_token_alone_and_the_last_one_counts(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.run(async |store| {
            let (one, other) = (token("one"), token("other"));
            let nobodys = RefreshRecord { subject: None, began_at: UnixTime::from_secs(7), basis: Basis::Passed };
            store.remember(&one, &record(1), 60, stand.now()).await.expect("remembered");
            store.remember(&other, &nobodys, 60, stand.now()).await.expect("remembered");
            store.remember(&one, &record(2), 60, stand.now()).await.expect("remembered");
            assert_eq!(store.recall(&one, stand.now()).await.expect("recalled"), Some(record(2)));
            assert_eq!(store.recall(&other, stand.now()).await.expect("recalled"), Some(nobodys));
            assert_eq!(store.recall(&token("third"), stand.now()).await.expect("recalled"), None);
        });
    }

    fn a_record_is_forgotten_when_its_time_is_over(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.run(async |store| {
            store.remember(&token("short"), &record(1), 60, stand.now()).await.expect("remembered");
            store.remember(&token("long"), &record(1), 6000, stand.now()).await.expect("remembered");
            stand.clock.advance(61);
            assert_eq!(store.recall(&token("short"), stand.now()).await.expect("recalled"), None);
            assert!(store.recall(&token("long"), stand.now()).await.expect("recalled").is_some());
            // Writing sweeps.
            store.remember(&token("new"), &record(1), 60, stand.now()).await.expect("remembered");
            assert_eq!(records(&stand), 2);
        });
    }

    fn a_record_that_cannot_be_read_is_an_error_and_not_unknown(kind: StoreKind) {
        let stand = Stand::new(kind);
        stand.run(async |store| {
            store.remember(&token("one"), &record(START), 60, stand.now()).await.expect("remembered");
            spoil(&stand);
            assert!(store.recall(&token("one"), stand.now()).await.is_err());
        });
    }
}

fn records(stand: &Stand) -> i64 {
    match &stand.redis {
        Some(redis) => redis.cli(&["--scan", "--pattern", "tfa:{refresh:*"]).lines().map(|_| 1).sum(),
        None => file(stand).query_row("SELECT count(*) FROM refresh", [], |row| row.get(0)).expect("a count"),
    }
}

fn spoil(stand: &Stand) {
    if let Some(redis) = &stand.redis {
        let key = redis.cli(&["--scan", "--pattern", "tfa:{refresh:*"]);
        redis.cli(&["SET", key.trim(), "{}"]);
    } else {
        file(stand).execute("UPDATE refresh SET record = CAST('{}' AS BLOB)", []).expect("spoilt");
    }
}

fn file(stand: &Stand) -> rusqlite::Connection {
    rusqlite::Connection::open(stand.file()).expect("the file")
}
