//! Remembered devices in the embedded store: one table.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{EmbeddedStore, expiring::SWEPT_AT_ONCE, failed, row_of};
use crate::{
    step_up::StoreError,
    types::{FactorId, SubjectId, UnixTime},
};

/// Added to a file that a version without it wrote.
pub(super) const SCHEMA: &str = "
    CREATE TABLE devices (
        subject TEXT NOT NULL,
        id TEXT NOT NULL,
        forget_at INTEGER NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (subject, id)
    ) STRICT, WITHOUT ROWID;
";
/// The same, added later: whoever writes a device sweeps those that are over.
pub(super) const ORDER_SCHEMA: &str = "
    CREATE INDEX devices_by_forget_at ON devices (forget_at);
";

impl EmbeddedStore {
    pub(in super::super) async fn device(
        &self,
        subject: &SubjectId,
        id: &FactorId,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (subject, id) = (subject.clone(), id.clone());
        self.database.read(move |connection| find(connection, &subject, &id)).await
    }

    pub(in super::super) async fn devices(
        &self,
        subject: &SubjectId,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let subject = subject.clone();
        self.database
            .read(move |connection| {
                let read = || -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
                    let mut select =
                        connection.prepare_cached("SELECT id, record FROM devices WHERE subject = ?1")?;
                    let rows =
                        select.query_map(params![subject.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
                    rows.collect()
                };
                read().map_err(failed)
            })
            .await
    }

    /// Writes a device if there is still what was read, and the field of the factor, if one is named. It lives from now
    /// until it is forgotten.
    pub(in super::super) async fn put_device(
        &self,
        subject: &SubjectId,
        id: &FactorId,
        read: Option<&[u8]>,
        record: String,
        factor: Option<String>,
        life: Range<UnixTime>,
    ) -> Result<bool, StoreError> {
        let (subject, id, read) = (subject.clone(), id.clone(), read.map(<[u8]>::to_vec));
        let (now, forget_at) = (life.start.to_i64(), life.end.to_i64());
        self.database
            .write(move |connection| {
                if find(connection, &subject, &id)? != read {
                    return Ok(false);
                }
                let factor = factor.as_deref().map(row_of);
                let row = params![subject.as_str(), id.as_str(), forget_at, record.as_bytes(), factor];
                let write = || {
                    let written = connection
                        .prepare_cached(
                            "INSERT OR REPLACE INTO devices (subject, id, forget_at, record) \
                             SELECT ?1, ?2, ?3, ?4 WHERE EXISTS \
                             (SELECT 1 FROM factors WHERE subject = ?1 AND (?5 IS NULL OR factor_id = ?5))",
                        )?
                        .execute(row)?;
                    connection
                        .prepare_cached(
                            "DELETE FROM devices WHERE (subject, id) IN \
                             (SELECT subject, id FROM devices WHERE forget_at <= ?1 ORDER BY forget_at LIMIT ?2)",
                        )?
                        .execute(params![now, SWEPT_AT_ONCE])?;
                    Ok(written > 0)
                };
                write().map_err(failed)
            })
            .await
    }

    pub(in super::super) async fn forget_devices(
        &self,
        subject: &SubjectId,
        id: Option<&FactorId>,
    ) -> Result<usize, StoreError> {
        let (subject, id) = (subject.clone(), id.cloned());
        self.database.write(move |connection| forget(connection, &subject, id.as_ref())).await
    }
}

/// Forgets one device, or all.
pub(super) fn forget(
    connection: &Connection,
    subject: &SubjectId,
    id: Option<&FactorId>,
) -> Result<usize, StoreError> {
    connection
        .prepare_cached("DELETE FROM devices WHERE subject = ?1 AND (?2 IS NULL OR id = ?2)")
        .and_then(|mut delete| delete.execute(params![subject.as_str(), id.map(FactorId::as_str)]))
        .map_err(failed)
}

fn find(connection: &Connection, subject: &SubjectId, id: &FactorId) -> Result<Option<Vec<u8>>, StoreError> {
    connection
        .prepare_cached("SELECT record FROM devices WHERE subject = ?1 AND id = ?2")
        .and_then(|mut select| {
            select.query_row(params![subject.as_str(), id.as_str()], |row| row.get(0)).optional()
        })
        .map_err(failed)
}
