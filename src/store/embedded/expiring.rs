//! What is kept for a time, in the embedded store: a table a kind, from which whoever writes sweeps what is over.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, params};

use super::{super::Expiring, EmbeddedStore, failed};
use crate::{step_up::StoreError, types::UnixTime};

/// Made with the other tables, and added to a file that a version without it wrote.
pub(super) const REFRESH_SCHEMA: &str = "
    CREATE TABLE refresh (
        name TEXT PRIMARY KEY,
        forget_at INTEGER NOT NULL,
        record BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX refresh_by_forget_at ON refresh (forget_at);
";
/// The same, added later.
pub(super) const SESSIONS_SCHEMA: &str = "
    CREATE TABLE sessions (
        name TEXT PRIMARY KEY,
        forget_at INTEGER NOT NULL,
        record BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sessions_by_forget_at ON sessions (forget_at);
";
/// Records that are swept with each one that is written, so that they grow no faster than they go.
pub(super) const SWEPT_AT_ONCE: i64 = 2;

const fn table(kind: Expiring) -> &'static str {
    match kind {
        Expiring::Refresh => "refresh",
        Expiring::Session => "sessions",
    }
}

impl EmbeddedStore {
    pub(in super::super) async fn put_expiring(
        &self,
        kind: Expiring,
        name: String,
        record: String,
        for_secs: u64,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (now, forget_at) = (now.to_i64(), now.plus(Duration::from_secs(for_secs)).to_i64());
        let table = table(kind);
        self.database
            .write(move |connection| {
                let write = || {
                    connection
                        .prepare_cached(&format!(
                            "INSERT OR REPLACE INTO {table} (name, forget_at, record) VALUES (?1, ?2, ?3)"
                        ))?
                        .execute(params![name, forget_at, record.as_bytes()])?;
                    connection
                        .prepare_cached(&format!(
                            "DELETE FROM {table} WHERE name IN \
                             (SELECT name FROM {table} WHERE forget_at <= ?1 ORDER BY forget_at LIMIT ?2)"
                        ))?
                        .execute(params![now, SWEPT_AT_ONCE])
                };
                write().map(drop).map_err(failed)
            })
            .await
    }

    /// Answers whether what was read was still there.
    pub(in super::super) async fn replace_expiring(
        &self,
        kind: Expiring,
        name: String,
        read: Vec<u8>,
        record: String,
        for_secs: u64,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let (now, forget_at) = (now.to_i64(), now.plus(Duration::from_secs(for_secs)).to_i64());
        let table = table(kind);
        self.database
            .write(move |connection| {
                connection
                    .prepare_cached(&format!(
                        "UPDATE {table} SET forget_at = ?2, record = ?3 \
                         WHERE name = ?1 AND forget_at > ?4 AND record = ?5"
                    ))
                    .and_then(|mut update| {
                        update.execute(params![name, forget_at, record.as_bytes(), now, read])
                    })
                    .map(|written| written > 0)
                    .map_err(failed)
            })
            .await
    }

    pub(in super::super) async fn get_expiring(
        &self,
        kind: Expiring,
        name: String,
        now: UnixTime,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (now, table) = (now.to_i64(), table(kind));
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached(&format!("SELECT record FROM {table} WHERE name = ?1 AND forget_at > ?2"))
                    .and_then(|mut select| select.query_row(params![name, now], |row| row.get(0)).optional())
                    .map_err(failed)
            })
            .await
    }

    pub(in super::super) async fn remove_expiring(
        &self,
        kind: Expiring,
        name: String,
    ) -> Result<(), StoreError> {
        let table = table(kind);
        self.database
            .write(move |connection| {
                connection
                    .prepare_cached(&format!("DELETE FROM {table} WHERE name = ?1"))
                    .and_then(|mut delete| delete.execute(params![name]))
                    .map(drop)
                    .map_err(failed)
            })
            .await
    }
}
