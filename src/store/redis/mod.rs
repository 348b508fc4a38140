//! Redis 6 or later, or Valkey.
//!
//! Invariants: all keys of a subject carry one hash tag; a grant costs one command to read the enrolment and,
//! with a passcode, one script to settle it; the script decides by the server's own clock; a hash that holds
//! no factor that opens is an error, never "not enrolled".

mod breaker;
mod cluster;
mod connection;
mod devices;
mod expiring;
mod fault;
mod keys;
mod link;
mod list;
mod marker;
mod revocations;
mod sentinel;
mod servers;
mod settings;
mod slots;
mod throttle;
mod trail;

use std::sync::LazyLock;

use redis::Script;

pub(super) use self::marker::Marker;
use self::servers::Servers;
pub use self::settings::{RedisSettings, RedisTls, RedisTlsFault, RedisUrlFault};
use super::{StoreSettings, edit::Change, fields::Fields, record::malformed};
use crate::{
    factor::Fit,
    policy::lockout::{Attempt, Failure, Ledger, Settlement, UsedStep},
    step_up::StoreError,
    types::{
        FactorId, SubjectId, UnixTime,
        limits::{FAILURES_IN_A_ROW_MAX, USED_STEP_MARGIN_SECS},
    },
};

static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/settle.lua")));
static EDIT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/edit.lua")));
static UNLOCK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/unlock.lua")));

/// The longest time for which any used step matters: eleven periods of 300 s, and the margin. Seconds.
const USED_STEP_SECS_MAX: u64 = 11 * 300 + USED_STEP_MARGIN_SECS;

/// The adapter of one runtime thread.
pub(super) struct RedisStore {
    servers: Servers,
    settings: StoreSettings,
}

impl RedisStore {
    pub(super) fn new(redis: &RedisSettings, marker: Marker, settings: StoreSettings) -> Self {
        Self { servers: Servers::new(redis, marker), settings }
    }

    /// All that there is under a name: one `HGETALL`.
    pub(super) async fn fields(&self, name: &SubjectId) -> Result<Fields, StoreError> {
        let fields = self.servers.hash(&keys::enrolment(name)).await?;
        if !fields.is_empty() {
            self.servers.remember_marker().await;
        }
        Ok(fields)
    }

    /// Writes what an edit made of what was read. Answers whether that was still there.
    pub(super) async fn apply(&self, subject: &SubjectId, change: &Change) -> Result<bool, StoreError> {
        let (set, removed): (Vec<_>, Vec<_>) = (change.set().collect(), change.removed().collect());
        let key = keys::enrolment(subject);
        let mut call = EDIT.key(&key);
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
        let edit = async |mut c| call.invoke_async::<bool>(&mut c).await;
        let applied = self.servers.write_for_good(&key, edit, |applied| *applied).await?;
        if applied && !change.after.is_empty() {
            self.servers.remember_marker().await;
        }
        Ok(applied)
    }

    /// What is remembered of a subject's attempts: with passcodes, and with recovery codes.
    pub(super) async fn ledgers(&self, subject: &SubjectId) -> Result<(Ledger, Ledger), StoreError> {
        let passcodes = ledger(&self.servers.hash(&keys::ledger(subject)).await?)?;
        Ok((passcodes, ledger(&self.servers.hash(&keys::recovery_ledger(subject)).await?)?))
    }

    /// One `EVALSHA`.
    pub(super) async fn settle(
        &self,
        subject: &SubjectId,
        attempt: &Attempt,
    ) -> Result<Settlement, StoreError> {
        let lockout = &self.settings.lockout;
        let key = match &attempt.fit {
            Fit::Steps(_) => keys::ledger(subject),
            Fit::RecoveryCode(_) => keys::recovery_ledger(subject),
        };
        let mut call = SETTLE.key(&key);
        if matches!(attempt.fit, Fit::RecoveryCode(_)) {
            call.key(keys::enrolment(subject));
        }
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
        let settle = async |mut c| call.invoke_async::<Vec<String>>(&mut c).await;
        let accepted = |verdict: &Vec<String>| verdict.first().is_some_and(|word| word == "accepted");
        let verdict = self.servers.write_for_good(&key, settle, accepted).await?;
        settlement(&verdict).ok_or_else(|| malformed("ledger", "the script's verdict is not known"))
    }

    pub(super) async fn unlock(&self, subject: &SubjectId) -> Result<bool, StoreError> {
        let key = keys::ledger(subject);
        let mut call = UNLOCK.key(&key);
        call.key(keys::recovery_ledger(subject)).arg(USED_STEP_SECS_MAX);
        let forgotten: u64 = self.servers.write(&key, async |mut c| call.invoke_async(&mut c).await).await?;
        Ok(forgotten > 0)
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.servers.ping().await
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
