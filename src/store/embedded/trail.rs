//! The audit trail in the embedded store: one table, of which the oldest go.

use rusqlite::params;

use super::{super::trail_record, EmbeddedStore, failed};
use crate::{
    step_up::{EditDenial, StoreError, TrailPage, TrailQuery},
    types::{SubjectId, limits::TRAIL_EVENTS_MAX},
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

impl EmbeddedStore {
    pub(in super::super) async fn append_event(
        &self,
        record: String,
        subject: Option<SubjectId>,
    ) -> Result<(), StoreError> {
        self.database
            .write(move |connection| {
                let write = || {
                    connection
                        .prepare_cached("INSERT INTO trail (subject, event) VALUES (?1, ?2)")?
                        .execute(params![subject.as_ref().map(SubjectId::as_str), record.as_bytes()])?;
                    let oldest = connection.last_insert_rowid().saturating_sub(TRAIL_EVENTS_MAX);
                    connection.prepare_cached("DELETE FROM trail WHERE id <= ?1")?.execute(params![oldest])
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
