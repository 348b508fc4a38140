//! The audit trail in the embedded store: one table, of which the oldest of each list go.

use rusqlite::{Connection, params};

use super::{super::trail_record, EmbeddedStore, failed};
use crate::{
    step_up::{EditDenial, StoreError, TrailList, TrailPage, TrailQuery},
    types::{SubjectId, limits::TRAIL_OWN_EVENTS_MAX},
};

/// Added to a file that a version without it wrote.
pub(super) const SCHEMA: &str = "
    CREATE TABLE trail (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        subject TEXT,
        event BLOB NOT NULL
    ) STRICT;
    CREATE INDEX trail_by_subject ON trail (subject, id);
";

/// The same, added later. The numbers are those of [`number_of`].
pub(super) const LISTS_SCHEMA: &str = "
    ALTER TABLE trail ADD COLUMN list INTEGER NOT NULL DEFAULT 0;
    UPDATE trail SET list = 1 WHERE CAST(event AS TEXT) LIKE '%\"actor\":\"self:%';
    CREATE INDEX trail_by_list ON trail (list, id);
";

/// After so many events it is looked whether there are too many.
const LOOKED_EVERY: i64 = 256;

const fn number_of(list: TrailList) -> i64 {
    match list {
        TrailList::Operators => 0,
        TrailList::Own => 1,
        TrailList::Imported => 2,
    }
}

/// Drops the oldest of a list.
fn cap(connection: &Connection, list: TrailList) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM trail WHERE list = ?1 AND id <= \
             (SELECT id FROM trail WHERE list = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![number_of(list), integer(list.events_max())])
}

/// Drops the oldest of a subject's own changes.
fn cap_own(connection: &Connection, subject: &SubjectId) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM trail WHERE subject = ?1 AND list = ?2 AND id <= (SELECT id FROM trail \
             WHERE subject = ?1 AND list = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
        )?
        .execute(params![subject.as_str(), number_of(TrailList::Own), integer(TRAIL_OWN_EVENTS_MAX)])
}

fn integer(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl EmbeddedStore {
    pub(in super::super) async fn append_event(
        &self,
        record: String,
        list: TrailList,
        subject: Option<SubjectId>,
    ) -> Result<(), StoreError> {
        self.database
            .write(move |connection| {
                let write = || {
                    let name = subject.as_ref().map(SubjectId::as_str);
                    connection
                        .prepare_cached("INSERT INTO trail (list, subject, event) VALUES (?1, ?2, ?3)")?
                        .execute(params![number_of(list), name, record.as_bytes()])?;
                    if connection.last_insert_rowid() % LOOKED_EVERY == 0 {
                        for list in TrailList::ALL {
                            cap(connection, list)?;
                        }
                    }
                    match &subject {
                        Some(subject) if list == TrailList::Own => cap_own(connection, subject),
                        _ => Ok(0),
                    }
                };
                write().map(drop).map_err(failed)
            })
            .await
    }

    pub(in super::super) async fn trail(&self, query: &TrailQuery) -> Result<TrailPage, StoreError> {
        let before = match query.before.as_deref().map(str::parse::<i64>) {
            None => i64::MAX,
            Some(Ok(before)) => before,
            Some(Err(_)) => return Err(EditDenial::BadPlace.into()),
        };
        let (subject, limit) = (query.subject.clone(), query.limit);
        let rows = self
            .database
            .read(move |connection| {
                let read = || -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
                    let mut select = connection.prepare_cached(
                        "SELECT id, event FROM trail WHERE id < ?1 AND (?2 IS NULL OR subject = ?2) \
                         ORDER BY id DESC LIMIT ?3",
                    )?;
                    // One more, to know whether there is one.
                    let limit = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
                    let subject = subject.as_ref().map(SubjectId::as_str);
                    let rows = select
                        .query_map(params![before, subject, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
                    rows.collect()
                };
                read().map_err(failed)
            })
            .await?;
        let has_more = rows.len() > limit;
        let rows = &rows[..rows.len().min(limit)];
        Ok(TrailPage {
            events: rows.iter().map(|(_, event)| trail_record::decode(event)).collect::<Result<_, _>>()?,
            next: rows.last().filter(|_| has_more).map(|(id, _)| id.to_string()),
        })
    }
}
