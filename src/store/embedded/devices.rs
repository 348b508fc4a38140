//! Remembered devices in the embedded store: one table.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{super::devices::Put, EmbeddedStore, expiring::SWEPT_AT_ONCE, failed, row_of};
use crate::{
    step_up::StoreError,
    types::{FactorId, SubjectId, limits::DEVICES_MAX},
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
        put: &Put<'_>,
    ) -> Result<bool, StoreError> {
        let (subject, id, read) = (subject.clone(), id.clone(), put.read.map(<[u8]>::to_vec));
        let (record, factor) = (put.record.clone(), put.factor.clone());
        let (over, older) = (put.over.clone(), put.older.clone());
        let (now, forget_at) = (put.now.to_i64(), put.forget_at.to_i64());
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
                    if written > 0 && read.is_none() {
                        make_room(connection, &subject, &id, &over, &older)?;
                    }
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

/// Forgets those that are over, and then of the others as many as there are too many with the new one.
fn make_room(
    connection: &Connection,
    subject: &SubjectId,
    new: &FactorId,
    over: &[String],
    older: &[String],
) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM devices WHERE subject = ?1 AND id = ?2")?;
    let mut count = connection.prepare_cached("SELECT count(*) FROM devices WHERE subject = ?1")?;
    for id in over {
        delete.execute(params![subject.as_str(), id])?;
    }
    let max = i64::try_from(DEVICES_MAX).unwrap_or(i64::MAX);
    let mut too_many = move || {
        let count: i64 = count.query_row(params![subject.as_str()], |row| row.get(0))?;
        Ok::<_, rusqlite::Error>(count.saturating_sub(max))
    };
    for id in older {
        if too_many()? <= 0 {
            break;
        }
        delete.execute(params![subject.as_str(), id])?;
    }
    // Of those that came at the same time, nobody knows which is older.
    connection
        .prepare_cached(
            "DELETE FROM devices WHERE subject = ?1 AND id IN \
             (SELECT id FROM devices WHERE subject = ?1 AND id <> ?2 ORDER BY forget_at LIMIT max(?3, 0))",
        )?
        .execute(params![subject.as_str(), new.as_str(), too_many()?])?;
    Ok(())
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
