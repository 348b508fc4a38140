//! How one attempt is settled: locked? replayed? accepted or counted.
//!
//! This is the rule itself, as a pure step from one [`Ledger`] to the next. The embedded store runs it
//! inside a transaction; the Redis script states it again in Lua, and one contract suite holds both to it.
//!
//! Invariants: a step is accepted at most once per factor, and only if it is later than the last accepted one of
//! every factor that it fits; an attempt against a locked subject is not looked at; the same wrong passcode counts
//! once within its window; a success clears all failures.

use std::collections::BTreeMap;

use crate::{
    factor::{Fit, Matched, RecoveryMatch},
    sealing::Fingerprint,
    types::{
        FactorId, UnixTime,
        limits::{FAILURES_IN_A_ROW_MAX, USED_STEP_MARGIN_SECS},
    },
};

/// When failures lock, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lockout {
    /// Failures within `window_secs` that lock.
    pub failures_max: u32,
    /// The span in which they are counted, in seconds.
    pub window_secs: u64,
    /// The first lock, in seconds; each further one in a row is twice as long.
    pub lock_secs: u64,
    /// The longest lock, in seconds.
    pub lock_secs_max: u64,
}

impl Default for Lockout {
    /// 5 failures in 15 minutes lock for 15, 30, then 60 minutes (NIST SP 800-63B-4 section 3.2.2 asks
    /// for a limit of at most 100 in a row and suggests growing waits).
    fn default() -> Self {
        Self { failures_max: 5, window_secs: 900, lock_secs: 900, lock_secs_max: 3600 }
    }
}

impl Lockout {
    /// Length of the `nth` lock in a row (the first is 1), in seconds.
    pub fn lock_secs_of(&self, nth: u32) -> u64 {
        let doublings = nth.saturating_sub(1).min(32);
        self.lock_secs.saturating_mul(1 << doublings).min(self.lock_secs_max)
    }
}

/// One presentation of a passcode, compared but not yet settled.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What it fits.
    pub fit: Fit,
    /// Tells this passcode from others, without keeping it.
    pub fingerprint: Fingerprint,
    /// For how long the same wrong passcode counts only once, in seconds.
    pub window_secs: u64,
}

/// How an attempt was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The passcode of this factor, or this recovery code, is spent; whoever gets this answer is the only one.
    Accepted {
        /// The factor or the recovery code that it fitted.
        factor: FactorId,
    },
    /// It fits, but that step or a later one was accepted before.
    Replayed,
    /// It fits nothing.
    Wrong,
    /// Not looked at: too many failures.
    Locked {
        /// Seconds until attempts are looked at again.
        for_secs: u64,
    },
    /// Not looked at: too many failures in a row. Only an administrator unlocks.
    LockedForGood,
}

/// The last accepted step of a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedStep {
    /// The step (RFC 6238 section 4.2).
    pub step: u64,
    /// When it may be forgotten: no gateway's window reaches it any more.
    pub forget_at: UnixTime,
}

impl UsedStep {
    /// When it was accepted; `window_secs` as in [`Ledger::spend`].
    pub const fn accepted_at(&self, window_secs: u64) -> UnixTime {
        let kept_secs = window_secs.saturating_add(USED_STEP_MARGIN_SECS);
        UnixTime::from_secs(self.forget_at.as_secs().saturating_sub(kept_secs))
    }
}

/// A failure that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When it was counted.
    pub at: UnixTime,
    /// Of which passcode, as [`Fingerprint::to_hex`].
    pub fingerprint: String,
}

/// All that is remembered of one subject's attempts: of those with passcodes, or of those with recovery codes, each
/// of which have a budget of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Failures since the last lock, oldest first; never more than `failures_max`.
    pub failures: Vec<Failure>,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// Locks since the last success.
    pub locks_in_a_row: u32,
    /// No attempt is looked at before this time.
    pub locked_until: UnixTime,
    /// The last accepted step of each factor.
    pub used: BTreeMap<FactorId, UsedStep>,
}

impl Ledger {
    /// Whether failures in a row have locked the subject until an administrator unlocks.
    pub const fn is_locked_for_good(&self) -> bool {
        self.failures_in_a_row >= FAILURES_IN_A_ROW_MAX
    }

    /// Settles one attempt. This must run atomically with reading and writing the ledger.
    ///
    /// `spend` takes a recovery code away, and says whether it was still there.
    pub fn settle(
        &mut self,
        attempt: &Attempt,
        now: UnixTime,
        lockout: &Lockout,
        spend: impl FnOnce(&RecoveryMatch) -> bool,
    ) -> Settlement {
        if self.is_locked_for_good() {
            return Settlement::LockedForGood;
        }
        if self.locked_until > now {
            return Settlement::Locked { for_secs: now.secs_until(self.locked_until) };
        }
        self.used.retain(|_, used| used.forget_at > now);
        if self.has_failed(attempt, now) {
            // It was counted once. That it fits by now makes it no better: it was guessed, for a later step.
            return if attempt.fit.is_wrong() { Settlement::Wrong } else { Settlement::Replayed };
        }
        match &attempt.fit {
            Fit::Steps(steps) => {
                // Of two factors with one secret, a passcode is both's: it is spent for both, and used if it is for
                // one.
                if let Some(first) = steps.first()
                    && steps.iter().all(|matched| self.is_fresh(matched))
                {
                    self.unlock();
                    for matched in steps {
                        self.spend(matched.factor(), matched.step(), matched.window_secs(), now);
                    }
                    return Settlement::Accepted { factor: first.factor().clone() };
                }
            }
            Fit::RecoveryCode(Some(code)) => {
                if spend(code) {
                    self.unlock();
                    return Settlement::Accepted { factor: code.id().clone() };
                }
            }
            Fit::RecoveryCode(None) => {}
        }
        self.count(attempt, now, lockout);
        if attempt.fit.is_wrong() { Settlement::Wrong } else { Settlement::Replayed }
    }

    /// Forgets failures and locks, not used steps. Returns whether there was anything to forget.
    pub fn unlock(&mut self) -> bool {
        let used = std::mem::take(&mut self.used);
        let before = std::mem::replace(self, Self { used, ..Self::default() });
        before.failures_in_a_row > 0 || before.locks_in_a_row > 0 || !before.failures.is_empty()
    }

    fn is_fresh(&self, matched: &Matched) -> bool {
        self.used.get(matched.factor()).is_none_or(|used| matched.step() > used.step)
    }

    /// Remembers a step as used, unless a later one is; `window_secs` is how long its passcode can be presented.
    pub fn spend(&mut self, factor: &FactorId, step: u64, window_secs: u64, now: UnixTime) {
        let forget_at = UnixTime::from_secs(
            now.as_secs().saturating_add(window_secs).saturating_add(USED_STEP_MARGIN_SECS),
        );
        if self.used.get(factor).is_none_or(|used| used.step <= step) {
            self.used.insert(factor.clone(), UsedStep { step, forget_at });
        }
    }

    /// Whether the same passcode has failed within its window.
    fn has_failed(&self, attempt: &Attempt, now: UnixTime) -> bool {
        let fingerprint = attempt.fingerprint.to_hex();
        self.failures.iter().any(|failure| {
            failure.fingerprint == fingerprint && failure.at.secs_until(now) < attempt.window_secs
        })
    }

    fn count(&mut self, attempt: &Attempt, now: UnixTime, lockout: &Lockout) {
        let remembered = lockout.window_secs.max(attempt.window_secs);
        self.failures.retain(|failure| failure.at.secs_until(now) < remembered);
        self.failures.push(Failure { at: now, fingerprint: attempt.fingerprint.to_hex() });
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let recent = self.failures.iter().filter(|failure| failure.at.secs_until(now) < lockout.window_secs);
        if recent.count() >= lockout.failures_max as usize {
            self.locks_in_a_row = self.locks_in_a_row.saturating_add(1);
            let span = lockout.lock_secs_of(self.locks_in_a_row);
            self.locked_until = UnixTime::from_secs(now.as_secs().saturating_add(span));
            self.failures.clear();
        }
    }
}

#[cfg(test)]
mod tests;
