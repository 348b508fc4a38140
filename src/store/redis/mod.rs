//! Redis 6 or later, or Valkey.
//!
//! Invariants: all keys of a subject carry one hash tag; a grant costs one command to read the enrolment and,
//! with a passcode, one script to settle it; the script decides by the server's own clock; a hash that holds
//! no factor that opens is an error, never "not enrolled".

mod connection;
mod keys;
mod marker;
mod refresh;
mod revocations;

use std::{collections::BTreeMap, fmt, sync::LazyLock, time::Duration};

use redis::{Client, IntoConnectionInfo as _, Script};

use self::connection::Connection;
pub(super) use self::marker::Marker;
use super::{
    StoreSettings,
    key_file::KeySource,
    record::malformed,
    sealed::{self, StoredFactor},
};
use crate::{
    policy::{
        Enrolment,
        lockout::{Attempt, Failure, Ledger, Settlement, UsedStep},
    },
    step_up::{Found, NewFactor, StoreError, SubjectStatus},
    types::{
        FactorId, SubjectId, UnixTime,
        limits::{FACTORS_MAX, FAILURES_IN_A_ROW_MAX, USED_STEP_MARGIN_SECS},
    },
};

static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/settle.lua")));
static ENROL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/enrol.lua")));
static ALIAS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/alias.lua")));
static DISABLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/disable.lua")));
static UNLOCK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/unlock.lua")));

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

    /// One `HGETALL`.
    pub(super) async fn find(&self, keys: &KeySource, name: &SubjectId) -> Result<Found, StoreError> {
        let fields = self.fields(&keys::enrolment(name)).await?;
        if fields.is_empty() {
            return Ok(Found::Subject(Enrolment::Absent));
        }
        self.connection.remember_marker().await;
        if let Some(subject) = alias_of(&fields)? {
            return Ok(Found::AliasOf(subject));
        }
        sealed::open_all(keys, name, &stored(&fields)?, &self.settings).map(Found::Subject)
    }

    /// One `EVALSHA`.
    pub(super) async fn settle(
        &self,
        subject: &SubjectId,
        attempt: &Attempt,
    ) -> Result<Settlement, StoreError> {
        let lockout = &self.settings.lockout;
        let mut call = SETTLE.key(keys::ledger(subject));
        call.arg(attempt.fingerprint.to_hex())
            .arg(attempt.window_secs)
            .arg(lockout.failures_max)
            .arg(lockout.window_secs)
            .arg(lockout.lock_secs)
            .arg(lockout.lock_secs_max)
            .arg(FAILURES_IN_A_ROW_MAX)
            .arg(USED_STEP_MARGIN_SECS);
        for matched in &attempt.matched {
            call.arg(matched.factor().as_str()).arg(matched.step()).arg(matched.window_secs());
        }
        let verdict: Vec<String> =
            self.connection.write(async |mut c| call.invoke_async(&mut c).await).await?;
        settlement(&verdict).ok_or_else(|| malformed("ledger", "the script's verdict is not known"))
    }

    pub(super) async fn enrol(
        &self,
        keys: &KeySource,
        subject: &SubjectId,
        new: &NewFactor,
    ) -> Result<(FactorId, usize), StoreError> {
        let (id, record) = sealed::seal_new(keys, subject, new)?;
        let mut call = ENROL.key(keys::enrolment(subject));
        call.arg(keys::totp_field(&id)).arg(record).arg(FACTORS_MAX);
        let verdict: redis::Value =
            self.connection.write(async |mut c| call.invoke_async(&mut c).await).await?;
        match verdict {
            redis::Value::Int(count) => {
                self.connection.remember_marker().await;
                Ok((id, usize::try_from(count).unwrap_or(usize::MAX)))
            }
            redis::Value::BulkString(word) if word == b"full" => Err(sealed::TOO_MANY),
            redis::Value::BulkString(word) if word == b"alias" => Err(sealed::IS_ALIAS),
            _ => Err(sealed::TAKEN),
        }
    }

    pub(super) async fn disable(&self, subject: &SubjectId) -> Result<usize, StoreError> {
        let mut call = DISABLE.key(keys::enrolment(subject));
        call.key(keys::ledger(subject)).arg(USED_STEP_SECS_MAX);
        let removed: i64 = self.connection.write(async |mut c| call.invoke_async(&mut c).await).await?;
        usize::try_from(removed).map_err(|_| sealed::IS_ALIAS)
    }

    pub(super) async fn add_alias(&self, alias: &SubjectId, subject: &SubjectId) -> Result<(), StoreError> {
        let mut call = ALIAS.key(keys::enrolment(alias));
        call.arg(subject.as_str());
        let is_alias: bool = self.connection.write(async |mut c| call.invoke_async(&mut c).await).await?;
        if !is_alias {
            return Err(sealed::IS_ENROLLED);
        }
        self.connection.remember_marker().await;
        Ok(())
    }

    pub(super) async fn remove_alias(&self, alias: &SubjectId) -> Result<bool, StoreError> {
        let key = keys::enrolment(alias);
        let hdel =
            async |mut c| redis::cmd("HDEL").arg(&key).arg(keys::ALIAS_FIELD).query_async(&mut c).await;
        self.connection.write(hdel).await
    }

    pub(super) async fn unlock(&self, subject: &SubjectId) -> Result<bool, StoreError> {
        let mut call = UNLOCK.key(keys::ledger(subject));
        call.arg(USED_STEP_SECS_MAX);
        let forgotten: u64 = self.connection.write(async |mut c| call.invoke_async(&mut c).await).await?;
        Ok(forgotten > 0)
    }

    pub(super) async fn status(
        &self,
        keys: &KeySource,
        subject: &SubjectId,
    ) -> Result<SubjectStatus, StoreError> {
        let fields = self.fields(&keys::enrolment(subject)).await?;
        let ledger = ledger(&self.fields(&keys::ledger(subject)).await?)?;
        let alias_of = alias_of(&fields)?;
        let factors = fields
            .iter()
            .filter(|(field, _)| *field != keys::ALIAS_FIELD)
            .map(|(field, value)| match stored_factor(field, value) {
                Some(factor) => sealed::describe(keys, subject, &factor, &self.settings),
                None => sealed::describe_unknown(field),
            })
            .collect();
        Ok(SubjectStatus { alias_of, factors, ledger })
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.connection.read(async |mut c| redis::cmd("PING").exec_async(&mut c).await).await
    }

    async fn fields(&self, key: &str) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        self.connection.read(async |mut c| redis::cmd("HGETALL").arg(key).query_async(&mut c).await).await
    }
}

/// Whose alias a name is. One that has factors as well is an error: they might be meant, or the alias.
fn alias_of(fields: &BTreeMap<String, Vec<u8>>) -> Result<Option<SubjectId>, StoreError> {
    match fields.get(keys::ALIAS_FIELD) {
        None => Ok(None),
        Some(_) if fields.len() > 1 => Err(malformed("enrolment", "an alias must have no other field")),
        Some(subject) => sealed::parse_alias(subject).map(Some),
    }
}

/// The factors of an enrolment. Fields that this version does not know are passed over beside a factor it
/// does, for any one factor is enough; alone they are an error.
fn stored(fields: &BTreeMap<String, Vec<u8>>) -> Result<Vec<StoredFactor<'_>>, StoreError> {
    let factors: Vec<_> = fields.iter().filter_map(|(field, value)| stored_factor(field, value)).collect();
    if factors.is_empty() && !fields.is_empty() {
        return Err(malformed("enrolment", "it must have a field 'totp:<factor>' or 'totp_secret'"));
    }
    Ok(factors)
}

fn stored_factor<'a>(field: &'a str, value: &'a [u8]) -> Option<StoredFactor<'a>> {
    if field == keys::PLAIN_FIELD {
        return Some(StoredFactor::Plain(value));
    }
    field.strip_prefix(keys::TOTP_FIELD_PREFIX).map(|id| StoredFactor::Sealed(id, value))
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
fn ledger(fields: &BTreeMap<String, Vec<u8>>) -> Result<Ledger, StoreError> {
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
