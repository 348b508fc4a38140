//! Revocations in the embedded store: one table.
//!
//! Invariants: what is due is taken inside one write transaction, so by one process at a time; nothing is
//! written while nothing is due.

use rusqlite::{Connection, params};

use super::{
    super::{key_file::KeySource, orphan_record},
    EmbeddedStore, failed,
};
use crate::{
    step_up::{DueRevocation, Revocation, RevocationId, StoreError},
    types::{UnixTime, limits::REVOCATIONS_MAX},
};

/// Made with the other tables, and added to a file that a version without it wrote.
pub(super) const SCHEMA: &str = "
    CREATE TABLE revocations (
        id TEXT PRIMARY KEY,
        born INTEGER NOT NULL,
        due INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        record BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX revocations_by_due ON revocations (due);
    CREATE INDEX revocations_by_born ON revocations (born);
";

impl EmbeddedStore {
    pub(in super::super) async fn push_revocation(
        &self,
        keys: &KeySource,
        revocation: &Revocation,
        now: UnixTime,
    ) -> Result<u64, StoreError> {
        let (id, record) = (revocation.id.clone(), orphan_record::seal(keys, revocation)?);
        let now = now.to_i64();
        self.database
            .write(move |connection| {
                let push = || {
                    let mut insert = connection.prepare_cached(
                        "INSERT INTO revocations (id, born, due, attempts, record) VALUES (?1, ?2, ?2, 0, ?3) \
                         ON CONFLICT (id) DO NOTHING",
                    )?;
                    insert.execute(params![id.as_str(), now, record.as_bytes()])?;
                    drop_oldest(connection)
                };
                push().map_err(failed)
            })
            .await
    }

    pub(in super::super) async fn claim_revocations(
        &self,
        keys: &KeySource,
        now: UnixTime,
        lease_secs: u64,
        limit: usize,
    ) -> Result<Vec<DueRevocation>, StoreError> {
        let (now, limit) = (now.to_i64(), integer(limit));
        // The one writer is not asked, and no other process waits, while there is nothing to take.
        let any: bool = self
            .database
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT EXISTS (SELECT 1 FROM revocations WHERE due <= ?1)")
                    .and_then(|mut select| select.query_row(params![now], |row| row.get(0)))
                    .map_err(failed)
            })
            .await?;
        if !any {
            return Ok(Vec::new());
        }
        let until = now.saturating_add(integer(lease_secs));
        let rows = self
            .database
            .write(move |connection| claim(connection, now, until, limit).map_err(failed))
            .await?;
        let due = rows.into_iter().map(|Row { id, attempts, born, record }| {
            let id = RevocationId::from_stored(id);
            let age_secs = u64::try_from(now.saturating_sub(born)).unwrap_or(0);
            let orphan = orphan_record::open(keys, &id, &record);
            DueRevocation { id, attempts, age_secs, orphan }
        });
        Ok(due.collect())
    }

    pub(in super::super) async fn postpone_revocation(
        &self,
        id: &RevocationId,
        now: UnixTime,
        delay_secs: u64,
        attempts: u32,
    ) -> Result<(), StoreError> {
        let (id, due) = (id.clone(), now.to_i64().saturating_add(integer(delay_secs)));
        self.database
            .write(move |connection| {
                connection
                    .prepare_cached("UPDATE revocations SET due = ?2, attempts = ?3 WHERE id = ?1")
                    .and_then(|mut update| update.execute(params![id.as_str(), due, attempts]))
                    .map(drop)
                    .map_err(failed)
            })
            .await
    }

    pub(in super::super) async fn finish_revocation(&self, id: &RevocationId) -> Result<(), StoreError> {
        let id = id.clone();
        self.database
            .write(move |connection| {
                connection
                    .prepare_cached("DELETE FROM revocations WHERE id = ?1")
                    .and_then(|mut delete| delete.execute(params![id.as_str()]))
                    .map(drop)
                    .map_err(failed)
            })
            .await
    }

    pub(in super::super) async fn revocations(&self) -> Result<u64, StoreError> {
        self.database.read(|connection| count(connection).map_err(failed)).await
    }
}

struct Row {
    id: String,
    attempts: u32,
    born: i64,
    record: Vec<u8>,
}

fn claim(connection: &Connection, now: i64, until: i64, limit: i64) -> rusqlite::Result<Vec<Row>> {
    let mut select = connection.prepare_cached(
        "SELECT id, attempts, born, record FROM revocations WHERE due <= ?1 ORDER BY due, born, id LIMIT ?2",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Row { id: row.get(0)?, attempts: row.get(1)?, born: row.get(2)?, record: row.get(3)? })
    };
    let rows: Vec<Row> = select.query_map(params![now, limit], read)?.collect::<rusqlite::Result<_>>()?;
    let mut lease = connection.prepare_cached("UPDATE revocations SET due = ?2 WHERE id = ?1")?;
    for row in &rows {
        lease.execute(params![row.id, until])?;
    }
    Ok(rows)
}

fn count(connection: &Connection) -> rusqlite::Result<u64> {
    let mut select = connection.prepare_cached("SELECT count(*) FROM revocations")?;
    select.query_row([], |row| row.get::<_, i64>(0)).map(|count| u64::try_from(count).unwrap_or(0))
}

fn drop_oldest(connection: &Connection) -> rusqlite::Result<u64> {
    let excess = count(connection)?.saturating_sub(REVOCATIONS_MAX);
    if excess == 0 {
        return Ok(0);
    }
    let mut delete = connection.prepare_cached(
        "DELETE FROM revocations WHERE id IN (SELECT id FROM revocations ORDER BY born, id LIMIT ?1)",
    )?;
    delete.execute(params![integer(excess)]).map(|dropped| dropped as u64)
}

/// SQLite's integers are signed.
fn integer(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
