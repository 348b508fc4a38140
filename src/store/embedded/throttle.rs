//! How often clients ask, with the embedded store: a table in the memory of the thread that writes. A disk is not
//! waited for, and what is lost with the process is a minute's count.

use std::{net::IpAddr, sync::LazyLock, time::Instant};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{EmbeddedStore, failed};
use crate::{
    policy::throttle::{Passage, Throttle},
    step_up::StoreError,
};

/// Made with the connection that writes.
pub(super) const SCHEMA: &str = "
    PRAGMA temp_store = MEMORY;
    CREATE TEMP TABLE throttle (client TEXT PRIMARY KEY, due_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX temp.throttle_by_due ON throttle (due_ms);
";
/// Clients that are swept with each one that asks, so that they grow no faster than they go.
const SWEPT_AT_ONCE: i64 = 2;

/// Times are counted from here.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl EmbeddedStore {
    /// Milliseconds to wait.
    pub(in super::super) async fn pass(&self, client: IpAddr, throttle: Throttle) -> Result<u64, StoreError> {
        let client = client.to_string();
        self.database.write(move |connection| step(connection, &client, throttle).map_err(failed)).await
    }
}

fn step(connection: &Connection, client: &str, throttle: Throttle) -> rusqlite::Result<u64> {
    let now = u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX);
    let due: Option<i64> = connection
        .prepare_cached("SELECT due_ms FROM temp.throttle WHERE client = ?1")?
        .query_row(params![client], |row| row.get(0))
        .optional()?;
    let (passage, next) = throttle.step(due.and_then(|due| u64::try_from(due).ok()), now);
    connection
        .prepare_cached(
            "DELETE FROM temp.throttle WHERE client IN \
             (SELECT client FROM temp.throttle WHERE due_ms <= ?1 ORDER BY due_ms LIMIT ?2)",
        )?
        .execute(params![integer(now), SWEPT_AT_ONCE])?;
    match passage {
        Passage::Free => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO temp.throttle (client, due_ms) VALUES (?1, ?2)")?
                .execute(params![client, integer(next)])?;
            Ok(0)
        }
        Passage::In(ms) => Ok(ms),
    }
}

fn integer(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
