//! One file on this machine: SQLite.
//!
//! Invariants: a commit is on the disk before its answer is given (WAL with `synchronous=FULL`), so that an
//! accepted passcode stays accepted after a power cut; an attempt is read, settled and written inside one
//! write transaction, of which SQLite allows one at a time among all processes; a batch that does not commit
//! accepts nothing.

mod database;
mod devices;
mod expiring;
mod file;
mod ledger;
mod list;
mod revocations;
mod throttle;
mod trail;
mod worker;

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension as _, params};

pub(super) use self::database::Database;
pub use self::database::{EmbeddedOpenError, EmbeddedSettings};
use super::{
    StoreSettings,
    edit::{Change, Spent},
    fields::{self, Field, Fields},
};
use crate::{
    factor::Fit,
    policy::lockout::{Attempt, Ledger, Settlement},
    step_up::{ListPage, ListQuery, StoreError},
    types::{SubjectId, UnixTime},
};

/// The adapter of one runtime thread.
pub(super) struct EmbeddedStore {
    database: Database,
    settings: StoreSettings,
}

impl EmbeddedStore {
    pub(super) const fn new(database: Database, settings: StoreSettings) -> Self {
        Self { database, settings }
    }

    /// All that there is under a name.
    pub(super) async fn fields(&self, name: &SubjectId) -> Result<Fields, StoreError> {
        let name = name.clone();
        self.database.read(move |connection| read_fields(connection, &name)).await
    }

    /// Writes what an edit made of what was read. Answers whether that was still there.
    pub(super) async fn apply(&self, subject: &SubjectId, change: Change) -> Result<bool, StoreError> {
        let subject = subject.clone();
        self.database
            .write(move |connection| {
                if read_fields(connection, &subject)? != change.before {
                    return Ok(false);
                }
                for (name, value) in change.set() {
                    insert(connection, &subject, &row_of(name), value)?;
                }
                for name in change.removed() {
                    delete(connection, &subject, &row_of(name))?;
                }
                if change.forgets_failures {
                    unlock(connection, &subject)?;
                }
                if change.forgets_devices {
                    devices::forget(connection, &subject, None)?;
                }
                if let Some(Spent { factor, step, window_secs, at }) = &change.spends {
                    let mut ledger = read_ledger(connection, LEDGER, &subject)?;
                    ledger.spend(factor, *step, *window_secs, *at);
                    write_ledger(connection, LEDGER, &subject, &ledger)?;
                }
                Ok(true)
            })
            .await
    }

    /// What is remembered of a subject's attempts: with passcodes, and with recovery codes.
    pub(super) async fn ledgers(&self, subject: &SubjectId) -> Result<(Ledger, Ledger), StoreError> {
        let subject = subject.clone();
        self.database
            .read(move |connection| {
                let read = |table| read_ledger(connection, table, &subject);
                Ok((read(LEDGER)?, read(RECOVERY_LEDGER)?))
            })
            .await
    }

    /// One page of names, in their order.
    pub(super) async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        let query = query.clone();
        self.database.read(move |connection| list::page(connection, &query)).await
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
                let table = match attempt.fit {
                    Fit::Steps(_) => LEDGER,
                    Fit::RecoveryCode(_) => RECOVERY_LEDGER,
                };
                let mut ledger = read_ledger(connection, table, &subject)?;
                let before = ledger.clone();
                let mut failed = None;
                let settlement = ledger.settle(&attempt, now, &lockout, |code| {
                    let spent = delete(connection, &subject, &row_of(&fields::recovery(code.id())));
                    spent.unwrap_or_else(|error| failed.replace(error).is_some())
                });
                if let Some(error) = failed {
                    return Err(error);
                }
                if ledger != before {
                    write_ledger(connection, table, &subject, &ledger)?;
                }
                Ok(settlement)
            })
            .await
    }

    pub(super) async fn unlock(&self, subject: &SubjectId) -> Result<bool, StoreError> {
        let subject = subject.clone();
        self.database.write(move |connection| unlock(connection, &subject)).await
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        // It writes what is there already: on a full disk codes cannot be settled, and that is not ready.
        self.database
            .write(|connection| {
                let version: i32 =
                    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
                connection.pragma_update(None, "user_version", version).map_err(failed)
            })
            .await
    }
}

fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Failed(error.into())
}

/// The row of a field: a factor has its id, and anything else `>`, which no id holds, and its field.
fn row_of(field: &str) -> Cow<'_, str> {
    match Field::of(field) {
        Field::Totp(id) => id.into(),
        _ => format!(">{field}").into(),
    }
}

/// The field of a row.
fn field_of(row: &str) -> String {
    row.strip_prefix('>').map_or_else(|| format!("{}{row}", fields::TOTP), str::to_owned)
}

fn read_fields(connection: &Connection, subject: &SubjectId) -> Result<Fields, StoreError> {
    let read = || -> rusqlite::Result<Fields> {
        let mut select =
            connection.prepare_cached("SELECT factor_id, record FROM factors WHERE subject = ?1")?;
        let rows = select.query_map(params![subject.as_str()], |row| {
            Ok((field_of(row.get_ref(0)?.as_str()?), row.get(1)?))
        })?;
        rows.collect()
    };
    read().map_err(failed)
}

/// Returns whether it was there.
fn delete(connection: &Connection, subject: &SubjectId, row: &str) -> Result<bool, StoreError> {
    connection
        .prepare_cached("DELETE FROM factors WHERE subject = ?1 AND factor_id = ?2")
        .and_then(|mut delete| delete.execute(params![subject.as_str(), row]))
        .map(|deleted| deleted > 0)
        .map_err(failed)
}

fn insert(connection: &Connection, subject: &SubjectId, id: &str, record: &[u8]) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO factors (subject, factor_id, record) VALUES (?1, ?2, ?3)")
        .and_then(|mut insert| insert.execute(params![subject.as_str(), id, record]))
        .map_err(failed)?;
    Ok(())
}

/// The table of attempts with passcodes.
const LEDGER: &str = "ledger";
/// The table of attempts with recovery codes.
const RECOVERY_LEDGER: &str = "recovery_ledger";

fn unlock(connection: &Connection, subject: &SubjectId) -> Result<bool, StoreError> {
    let mut unlocked = false;
    for table in [LEDGER, RECOVERY_LEDGER] {
        let mut ledger = read_ledger(connection, table, subject)?;
        if ledger.unlock() {
            write_ledger(connection, table, subject, &ledger)?;
            unlocked = true;
        }
    }
    Ok(unlocked)
}

fn read_ledger(
    connection: &Connection,
    table: &'static str,
    subject: &SubjectId,
) -> Result<Ledger, StoreError> {
    let state: Option<String> = connection
        .prepare_cached(&format!("SELECT state FROM {table} WHERE subject = ?1"))
        .and_then(|mut select| select.query_row(params![subject.as_str()], |row| row.get(0)).optional())
        .map_err(failed)?;
    state.map_or_else(|| Ok(Ledger::default()), |state| ledger::decode(&state))
}

fn write_ledger(
    connection: &Connection,
    table: &'static str,
    subject: &SubjectId,
    ledger: &Ledger,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(&format!(
            "INSERT INTO {table} (subject, state) VALUES (?1, ?2) \
             ON CONFLICT (subject) DO UPDATE SET state = excluded.state"
        ))
        .and_then(|mut upsert| upsert.execute(params![subject.as_str(), ledger::encode(ledger)]))
        .map_err(failed)?;
    Ok(())
}
