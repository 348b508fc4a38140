//! Redis 6 or later, or Valkey.
//!
//! Invariants: all keys of a subject carry one hash tag; a grant costs one command to read the enrolment and,
//! with a passcode, one script to settle it; the script decides by the server's own clock; a hash that holds
//! no factor that opens is an error, never "not enrolled".

mod connection;
mod devices;
mod expiring;
mod keys;
mod marker;
mod revocations;
mod trail;

use std::{fmt, sync::LazyLock, time::Duration};

use redis::{Client, IntoConnectionInfo as _, Script};

use self::connection::Connection;
pub(super) use self::marker::Marker;
use super::{
    StoreSettings,
    edit::Change,
    fields::{self, Fields},
    record::malformed,
};
use crate::{
    factor::Fit,
    identity::fold_username,
    policy::lockout::{Attempt, Failure, Ledger, Settlement, UsedStep},
    step_up::{ListCursor, ListPage, ListQuery, NameSummary, StoreError},
    types::{
        FactorId, SubjectId, UnixTime,
        limits::{FAILURES_IN_A_ROW_MAX, USED_STEP_MARGIN_SECS},
    },
};

static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/settle.lua")));
static EDIT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/edit.lua")));
static UNLOCK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/unlock.lua")));

/// Keys that one step of a `SCAN` looks at: a millisecond of Redis's time.
const SCANNED_AT_ONCE: usize = 1000;
/// The longest time for which any used step matters: eleven periods of 300 s, and the margin. Seconds.
const USED_STEP_SECS_MAX: u64 = 11 * 300 + USED_STEP_MARGIN_SECS;

/// Where Redis is, and how long it may take.
#[derive(Clone)]
pub struct RedisSettings {
    client: Box<Client>,
    timeout: Duration,
}

impl fmt::Debug for RedisSettings {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Why a URL is not that of a Redis. It does not repeat the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be redis://[user:password@]host[:port][/db] or rediss://…")]
pub struct RedisUrlFault;

impl RedisSettings {
    /// Parses `redis://` and `rediss://` URLs. `timeout` bounds connecting and every answer.
    pub fn parse(url: &str, timeout: Duration) -> Result<Self, RedisUrlFault> {
        if !url.starts_with("redis://") && !url.starts_with("rediss://") || url.contains('#') {
            return Err(RedisUrlFault);
        }
        let info = url.into_connection_info().map_err(|_| RedisUrlFault)?;
        let client = Client::open(info).map_err(|_| RedisUrlFault)?;
        Ok(Self { client: Box::new(client), timeout })
    }
}

/// The adapter of one runtime thread.
pub(super) struct RedisStore {
    connection: Connection,
    settings: StoreSettings,
}

impl RedisStore {
    pub(super) fn new(redis: &RedisSettings, marker: Marker, settings: StoreSettings) -> Self {
        Self { connection: Connection::new(redis.client.as_ref().clone(), redis.timeout, marker), settings }
    }

    /// All that there is under a name: one `HGETALL`.
    pub(super) async fn fields(&self, name: &SubjectId) -> Result<Fields, StoreError> {
        let fields = self.hash(&keys::enrolment(name)).await?;
        if !fields.is_empty() {
            self.connection.remember_marker().await;
        }
        Ok(fields)
    }

    /// Writes what an edit made of what was read. Answers whether that was still there.
    pub(super) async fn apply(&self, subject: &SubjectId, change: &Change) -> Result<bool, StoreError> {
        let (set, removed): (Vec<_>, Vec<_>) = (change.set().collect(), change.removed().collect());
        let mut call = EDIT.key(keys::enrolment(subject));
        call.key(keys::ledger(subject)).key(keys::recovery_ledger(subject)).key(keys::devices(subject));
        call.arg(change.before.len()).arg(set.len()).arg(removed.len());
        call.arg(u8::from(change.forgets_failures)).arg(u8::from(change.forgets_devices));
        match &change.spends {
            None => call.arg("").arg(0).arg(0),
            Some(spent) => call
                .arg(format!("used:{}", spent.factor))
                .arg(spent.step)
                .arg(spent.window_secs + USED_STEP_MARGIN_SECS),
        };
        call.arg(USED_STEP_SECS_MAX);
        for (name, value) in change.before.iter().chain(set) {
            call.arg(name).arg(value.as_slice());
        }
        for name in removed {
            call.arg(name);
        }
        let applied: bool = self.connection.write(async |mut c| call.invoke_async(&mut c).await).await?;
        if applied && !change.after.is_empty() {
            self.connection.remember_marker().await;
        }
        Ok(applied)
    }

    /// What is remembered of a subject's attempts: with passcodes, and with recovery codes.
    pub(super) async fn ledgers(&self, subject: &SubjectId) -> Result<(Ledger, Ledger), StoreError> {
        let passcodes = ledger(&self.hash(&keys::ledger(subject)).await?)?;
        Ok((passcodes, ledger(&self.hash(&keys::recovery_ledger(subject)).await?)?))
    }

    /// One `EVALSHA`.
    pub(super) async fn settle(
        &self,
        subject: &SubjectId,
        attempt: &Attempt,
    ) -> Result<Settlement, StoreError> {
        let lockout = &self.settings.lockout;
        let mut call = match &attempt.fit {
            Fit::Steps(_) => SETTLE.key(keys::ledger(subject)),
            Fit::RecoveryCode(_) => {
                let mut call = SETTLE.key(keys::recovery_ledger(subject));
                call.key(keys::enrolment(subject));
                call
            }
        };
        call.arg(attempt.fingerprint.to_hex())
            .arg(attempt.window_secs)
            .arg(lockout.failures_max)
            .arg(lockout.window_secs)
            .arg(lockout.lock_secs)
            .arg(lockout.lock_secs_max)
            .arg(FAILURES_IN_A_ROW_MAX)
            .arg(USED_STEP_MARGIN_SECS);
        match &attempt.fit {
            Fit::Steps(steps) => {
                for matched in steps {
                    call.arg(matched.factor().as_str()).arg(matched.step()).arg(matched.window_secs());
                }
            }
            Fit::RecoveryCode(code) => {
                call.arg(code.iter().map(|code| code.id().as_str()).collect::<Vec<_>>());
            }
        }
        let verdict: Vec<String> =
            self.connection.write(async |mut c| call.invoke_async(&mut c).await).await?;
        settlement(&verdict).ok_or_else(|| malformed("ledger", "the script's verdict is not known"))
    }

    pub(super) async fn unlock(&self, subject: &SubjectId) -> Result<bool, StoreError> {
        let mut call = UNLOCK.key(keys::ledger(subject));
        call.key(keys::recovery_ledger(subject)).arg(USED_STEP_SECS_MAX);
        let forgotten: u64 = self.connection.write(async |mut c| call.invoke_async(&mut c).await).await?;
        Ok(forgotten > 0)
    }

    /// One page of names: some steps of a `SCAN`, then the fields' names of each.
    pub(super) async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        let pattern = keys::enrolments_containing(query.containing.as_deref().unwrap_or_default());
        let cursor = query.cursor.as_ref().map_or("0", |cursor| cursor.0.as_str());
        let mut cursor: u64 = cursor
            .parse()
            .map_err(|_| StoreError::Refused("the cursor must be one that a page ended with"))?;
        // What is searched for is rare: then as much as may be is looked at in one step.
        let at_once = match query.containing {
            Some(_) => SCANNED_AT_ONCE,
            None => query.limit.clamp(1, SCANNED_AT_ONCE),
        };
        let mut page = ListPage::default();
        loop {
            let (next, found): (u64, Vec<String>) = self
                .connection
                .read(async |mut c| {
                    let mut scan = redis::cmd("SCAN");
                    scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(at_once);
                    scan.query_async(&mut c).await
                })
                .await?;
            page.names.append(&mut self.summaries(&found).await?);
            cursor = next;
            if cursor == 0 {
                return Ok(page);
            }
            if page.names.len() >= query.limit {
                page.next = Some(ListCursor(cursor.to_string()));
                return Ok(page);
            }
        }
    }

    async fn summaries(&self, found: &[String]) -> Result<Vec<NameSummary>, StoreError> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let all: Vec<Fields> = self
            .connection
            .read(async |mut c| {
                let mut pipeline = redis::pipe();
                for key in found {
                    pipeline.cmd("HGETALL").arg(key);
                }
                pipeline.query_async(&mut c).await
            })
            .await?;
        let named = found.iter().zip(&all).filter_map(|(key, fields)| {
            // One that went meanwhile, and a name that is not folded: nobody can log in by it.
            let name = keys::name_of_enrolment(key)?;
            let folded = fold_username(&name).ok().filter(|folded| folded.as_str() == name)?;
            (!fields.is_empty()).then(|| fields::summary(folded, fields))
        });
        Ok(named.collect())
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.connection.read(async |mut c| redis::cmd("PING").exec_async(&mut c).await).await
    }

    async fn hash(&self, key: &str) -> Result<Fields, StoreError> {
        self.connection.read(async |mut c| redis::cmd("HGETALL").arg(key).query_async(&mut c).await).await
    }
}

fn settlement(verdict: &[String]) -> Option<Settlement> {
    let mut words = verdict.iter().map(String::as_str);
    Some(match (words.next()?, words.next()) {
        ("accepted", Some(factor)) => Settlement::Accepted { factor: FactorId::parse(factor).ok()? },
        ("replayed", None) => Settlement::Replayed,
        ("wrong", None) => Settlement::Wrong,
        ("locked", Some(secs)) => Settlement::Locked { for_secs: secs.parse().ok()? },
        ("locked_for_good", None) => Settlement::LockedForGood,
        _ => return None,
    })
}

/// Reads a ledger for `status`, as the script would.
fn ledger(fields: &Fields) -> Result<Ledger, StoreError> {
    let fault = || malformed("ledger", "its fields must be as in docs/redis.md");
    let text =
        |name: &str| std::str::from_utf8(fields.get(name).map_or(b"", Vec::as_slice)).map_err(|_| fault());
    let number = |name: &str| match fields.get(name) {
        None => Ok(0),
        Some(_) => text(name)?.parse::<u64>().map_err(|_| fault()),
    };
    let small = |name: &str| number(name).and_then(|n| u32::try_from(n).map_err(|_| fault()));
    let mut ledger = Ledger {
        failures_in_a_row: small("failures_in_a_row")?,
        locks_in_a_row: small("locks_in_a_row")?,
        locked_until: UnixTime::from_secs(number("locked_until")?),
        ..Ledger::default()
    };
    for failure in text("failures")?.split_ascii_whitespace() {
        let (at, fingerprint) = failure.split_once(':').ok_or_else(fault)?;
        let at = UnixTime::from_secs(at.parse().map_err(|_| fault())?);
        ledger.failures.push(Failure { at, fingerprint: fingerprint.to_owned() });
    }
    for name in fields.keys() {
        let Some(factor) = name.strip_prefix("used:") else { continue };
        let factor = FactorId::parse(factor).map_err(|_| fault())?;
        let (step, forget_at) = text(name)?.split_once(' ').ok_or_else(fault)?;
        let step = step.parse().map_err(|_| fault())?;
        let forget_at = UnixTime::from_secs(forget_at.parse().map_err(|_| fault())?);
        ledger.used.insert(factor, UsedStep { step, forget_at });
    }
    Ok(ledger)
}
