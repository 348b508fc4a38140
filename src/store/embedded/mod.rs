//! One file on this machine: SQLite.
//!
//! Invariants: a commit is on the disk before its answer is given (WAL with `synchronous=FULL`), so that an
//! accepted passcode stays accepted after a power cut; an attempt is read, settled and written inside one
//! write transaction, of which SQLite allows one at a time among all processes; a batch that does not commit
//! accepts nothing.

mod database;
mod file;
mod ledger;
mod refresh;
mod revocations;
mod worker;

use rusqlite::{Connection, OptionalExtension as _, params};

pub(super) use self::database::Database;
pub use self::database::{EmbeddedOpenError, EmbeddedSettings};
use super::{
    StoreSettings,
    key_file::KeySource,
    record::malformed,
    sealed::{self, StoredFactor},
};
use crate::{
    policy::lockout::{Attempt, Ledger, Settlement},
    step_up::{Found, NewFactor, StoreError, SubjectStatus},
    types::{FactorId, SubjectId, UnixTime, limits::FACTORS_MAX},
};

/// In the place of a factor's id, which it cannot be: the record is the subject whose other name this is.
const ALIAS_ROW: &str = ">alias_of";

/// The adapter of one runtime thread.
pub(super) struct EmbeddedStore {
    database: Database,
    settings: StoreSettings,
}

impl EmbeddedStore {
    pub(super) const fn new(database: Database, settings: StoreSettings) -> Self {
        Self { database, settings }
    }

    pub(super) async fn find(&self, keys: &KeySource, name: &SubjectId) -> Result<Found, StoreError> {
        let wanted = name.clone();
        let rows = self.database.read(move |connection| records(connection, &wanted)).await?;
        if let Some(subject) = alias_of(&rows)? {
            return Ok(Found::AliasOf(subject));
        }
        sealed::open_all(keys, name, &stored(&rows), &self.settings).map(Found::Subject)
    }

    pub(super) async fn settle(
        &self,
        subject: &SubjectId,
        attempt: &Attempt,
        now: UnixTime,
    ) -> Result<Settlement, StoreError> {
        let (subject, attempt, lockout) = (subject.clone(), attempt.clone(), self.settings.lockout);
        self.database
            .write(move |connection| {
                let mut ledger = read_ledger(connection, &subject)?;
                let before = ledger.clone();
                let settlement = ledger.settle(&attempt, now, &lockout);
                if ledger != before {
                    write_ledger(connection, &subject, &ledger)?;
                }
                Ok(settlement)
            })
            .await
    }

    pub(super) async fn enrol(
        &self,
        keys: &KeySource,
        subject: &SubjectId,
        new: &NewFactor,
    ) -> Result<(FactorId, usize), StoreError> {
        let (id, record) = sealed::seal_new(keys, subject, new)?;
        let subject = subject.clone();
        self.database
            .write(move |connection| {
                let present = records(connection, &subject)?;
                if alias_of(&present)?.is_some() {
                    return Err(sealed::IS_ALIAS);
                }
                if present.iter().any(|(other, _)| other == id.as_str()) {
                    return Err(sealed::TAKEN);
                }
                if present.len() >= FACTORS_MAX {
                    return Err(sealed::TOO_MANY);
                }
                insert(connection, &subject, id.as_str(), record.as_bytes())?;
                Ok((id, present.len() + 1))
            })
            .await
    }

    pub(super) async fn disable(&self, subject: &SubjectId) -> Result<usize, StoreError> {
        let subject = subject.clone();
        self.database
            .write(move |connection| {
                if alias_of(&records(connection, &subject)?)?.is_some() {
                    return Err(sealed::IS_ALIAS);
                }
                let removed = connection
                    .execute("DELETE FROM factors WHERE subject = ?1", params![subject.as_str()])
                    .map_err(failed)?;
                unlock(connection, &subject)?;
                Ok(removed)
            })
            .await
    }

    pub(super) async fn add_alias(&self, alias: &SubjectId, subject: &SubjectId) -> Result<(), StoreError> {
        let (alias, subject) = (alias.clone(), subject.clone());
        self.database
            .write(move |connection| {
                let present = records(connection, &alias)?;
                if !present.is_empty() && alias_of(&present)?.is_none() {
                    return Err(sealed::IS_ENROLLED);
                }
                insert(connection, &alias, ALIAS_ROW, subject.as_str().as_bytes())
            })
            .await
    }

    pub(super) async fn remove_alias(&self, alias: &SubjectId) -> Result<bool, StoreError> {
        let alias = alias.clone();
        self.database
            .write(move |connection| {
                let row = params![alias.as_str(), ALIAS_ROW];
                let delete = "DELETE FROM factors WHERE subject = ?1 AND factor_id = ?2";
                connection.execute(delete, row).map(|removed| removed > 0).map_err(failed)
            })
            .await
    }

    pub(super) async fn unlock(&self, subject: &SubjectId) -> Result<bool, StoreError> {
        let subject = subject.clone();
        self.database.write(move |connection| unlock(connection, &subject)).await
    }

    pub(super) async fn status(
        &self,
        keys: &KeySource,
        subject: &SubjectId,
    ) -> Result<SubjectStatus, StoreError> {
        let wanted = subject.clone();
        let (rows, ledger) = self
            .database
            .read(move |connection| Ok((records(connection, &wanted)?, read_ledger(connection, &wanted)?)))
            .await?;
        let alias_of = alias_of(&rows)?;
        let rows = if alias_of.is_some() { Vec::new() } else { rows };
        let factors =
            stored(&rows).iter().map(|f| sealed::describe(keys, subject, f, &self.settings)).collect();
        Ok(SubjectStatus { alias_of, factors, ledger })
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.database
            .read(|connection| connection.query_row("SELECT 1", [], |_| Ok(())).map_err(failed))
            .await
    }
}

fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Failed(error.into())
}

type Row = (String, Vec<u8>);

fn records(connection: &Connection, subject: &SubjectId) -> Result<Vec<Row>, StoreError> {
    let read = || -> rusqlite::Result<Vec<Row>> {
        let mut select = connection
            .prepare_cached("SELECT factor_id, record FROM factors WHERE subject = ?1 ORDER BY factor_id")?;
        let rows = select.query_map(params![subject.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    read().map_err(failed)
}

fn insert(connection: &Connection, subject: &SubjectId, id: &str, record: &[u8]) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO factors (subject, factor_id, record) VALUES (?1, ?2, ?3)")
        .and_then(|mut insert| insert.execute(params![subject.as_str(), id, record]))
        .map_err(failed)?;
    Ok(())
}

/// Whose alias a name is. One that has factors as well is an error: they might be meant, or the alias.
fn alias_of(rows: &[Row]) -> Result<Option<SubjectId>, StoreError> {
    match rows {
        [(id, subject)] if id == ALIAS_ROW => sealed::parse_alias(subject).map(Some),
        rows if rows.iter().any(|(id, _)| id == ALIAS_ROW) => {
            Err(malformed("enrolment", "an alias must have no factors"))
        }
        _ => Ok(None),
    }
}

fn stored(rows: &[Row]) -> Vec<StoredFactor<'_>> {
    rows.iter().map(|(id, record)| StoredFactor::Sealed(id, record)).collect()
}

fn unlock(connection: &Connection, subject: &SubjectId) -> Result<bool, StoreError> {
    let mut ledger = read_ledger(connection, subject)?;
    let unlocked = ledger.unlock();
    if unlocked {
        write_ledger(connection, subject, &ledger)?;
    }
    Ok(unlocked)
}

fn read_ledger(connection: &Connection, subject: &SubjectId) -> Result<Ledger, StoreError> {
    let state: Option<String> = connection
        .prepare_cached("SELECT state FROM ledger WHERE subject = ?1")
        .and_then(|mut select| select.query_row(params![subject.as_str()], |row| row.get(0)).optional())
        .map_err(failed)?;
    state.map_or_else(|| Ok(Ledger::default()), |state| ledger::decode(&state))
}

fn write_ledger(connection: &Connection, subject: &SubjectId, ledger: &Ledger) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO ledger (subject, state) VALUES (?1, ?2) \
             ON CONFLICT (subject) DO UPDATE SET state = excluded.state",
        )
        .and_then(|mut upsert| upsert.execute(params![subject.as_str(), ledger::encode(ledger)]))
        .map_err(failed)?;
    Ok(())
}
