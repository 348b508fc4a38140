//! What an administrator sees of a subject.

use std::fmt;

use serde_json::json;

use crate::{
    policy::lockout::Ledger,
    step_up::{ListCursor, NameSummary, StoredDevice, SubjectStatus, TrailEvent},
    types::{SubjectId, UnixTime},
};

/// A subject's factors and locks, at a time.
#[derive(Debug)]
pub struct StatusReport {
    subject: SubjectId,
    status: SubjectStatus,
    is_enrolled: bool,
    now: UnixTime,
}

/// One name of a list.
#[derive(Debug, Clone)]
pub struct ListedName {
    /// What the store knows of it.
    pub summary: NameSummary,
    /// Whether a factor counts: its own, or of whom it leads to.
    pub is_enrolled: bool,
}

/// Some of the names that a store knows.
#[derive(Debug, Clone)]
pub struct NamePage {
    /// The names.
    pub names: Vec<ListedName>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<ListCursor>,
}

impl StatusReport {
    pub(super) const fn new(
        subject: SubjectId,
        status: SubjectStatus,
        is_enrolled: bool,
        now: UnixTime,
    ) -> Self {
        Self { subject, status, is_enrolled, now }
    }

    /// The subject.
    pub const fn subject(&self) -> &SubjectId {
        &self.subject
    }

    /// What is known of it.
    pub const fn status(&self) -> &SubjectStatus {
        &self.status
    }

    /// Seconds until attempts are looked at again; `None` if they are looked at.
    fn locked_for_secs(&self, ledger: &Ledger) -> Option<u64> {
        Some(self.now.secs_until(ledger.locked_until)).filter(|secs| *secs > 0)
    }

    fn attempts_json(&self, ledger: &Ledger) -> serde_json::Value {
        json!({
            "failures": ledger.failures.len(),
            "failures_in_a_row": ledger.failures_in_a_row,
            "locks_in_a_row": ledger.locks_in_a_row,
            "locked_for_secs": self.locked_for_secs(ledger),
            "locked_for_good": ledger.is_locked_for_good(),
        })
    }

    /// Whether a factor counts: its own, or of whom it leads to.
    pub const fn is_enrolled(&self) -> bool {
        self.is_enrolled
    }

    /// The documented JSON of `tfa-gateway status --json`.
    pub fn to_json(&self) -> serde_json::Value {
        let factors: Vec<_> = self
            .status
            .factors
            .iter()
            .map(|factor| {
                json!({
                    "id": factor.id,
                    "is_pending": factor.is_pending,
                    "label": factor.label,
                    "algorithm": factor.parameters.map(|p| p.algorithm().as_str()),
                    "digits": factor.parameters.map(|p| p.digits()),
                    "period_secs": factor.parameters.map(|p| p.period_secs()),
                    "skew_steps": factor.parameters.map(|p| p.skew_steps()),
                    "enrolled_at": factor.enrolled_at.map(UnixTime::as_secs),
                    "key_id": factor.key_id,
                    "problem": factor.problem,
                })
            })
            .collect();
        let mut report = json!({
            "subject": self.subject.as_str(),
            "alias_of": self.status.alias_of.as_ref().map(SubjectId::as_str),
            "enrolled": self.is_enrolled(),
            "factors": factors,
            "recovery_codes": self.status.recovery_codes,
            "recovery_code_attempts": self.attempts_json(&self.status.recovery_ledger),
        });
        if let (Some(report), serde_json::Value::Object(attempts)) =
            (report.as_object_mut(), self.attempts_json(&self.status.ledger))
        {
            report.extend(attempts);
        }
        report
    }
}

impl fmt::Display for StatusReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.status.alias_of {
            let but =
                if self.is_enrolled { "" } else { ", which is not enrolled: the password alone is enough" };
            return writeln!(f, "  alias of {subject}{but}");
        }
        let enrolled = if self.is_enrolled() { "enrolled" } else { "not enrolled" };
        writeln!(f, "  {enrolled}")?;
        for factor in &self.status.factors {
            write!(f, "  factor {}", factor.id)?;
            if let Some(label) = &factor.label {
                write!(f, " ({label})")?;
            }
            if let Some(p) = factor.parameters {
                let (digits, period) = (p.digits(), p.period_secs());
                write!(f, ": TOTP, {}, {digits} digits, {period} s", p.algorithm().as_str())?;
            }
            match &factor.key_id {
                Some(key) => write!(f, ", sealed with {key}")?,
                None => write!(f, ", not sealed")?,
            }
            if factor.is_pending {
                write!(f, ", waits for its confirmation")?;
            }
            writeln!(f)?;
            if let Some(problem) = &factor.problem {
                writeln!(f, "    PROBLEM: {problem}; no token is released for this subject")?;
            }
        }
        if self.is_enrolled() {
            writeln!(f, "  {} recovery codes left", self.status.recovery_codes)?;
        }
        for (ledger, what) in
            [(&self.status.ledger, ""), (&self.status.recovery_ledger, " with recovery codes")]
        {
            if ledger.failures_in_a_row > 0 {
                let s = if ledger.failures_in_a_row == 1 { "" } else { "s" };
                let count = ledger.failures_in_a_row;
                writeln!(f, "  {count} failed attempt{s}{what} since the last success{what}")?;
            }
            if ledger.is_locked_for_good() {
                writeln!(
                    f,
                    "  LOCKED{what} until an administrator runs `tfa-gateway unlock {}`",
                    self.subject
                )?;
            } else if let Some(secs) = self.locked_for_secs(ledger) {
                writeln!(f, "  LOCKED{what} for another {secs} s")?;
            }
        }
        Ok(())
    }
}

/// One name of a list, as JSON.
pub fn name_json(listed: &ListedName) -> serde_json::Value {
    let ListedName { summary: name, is_enrolled } = listed;
    json!({
        "subject": name.name.as_str(),
        "alias_of": name.alias_of.as_ref().map(SubjectId::as_str),
        "enrolled": is_enrolled,
        "factors": name.factors,
        "pending_factors": name.pending,
        "recovery_codes": name.recovery_codes,
    })
}

/// One event of the audit trail, as JSON.
pub fn event_json(event: &TrailEvent) -> serde_json::Value {
    json!({
        "at": event.at.as_secs(),
        "actor": event.actor.as_str(),
        "change": event.change.as_str(),
        "subject": event.subject.as_ref().map(SubjectId::as_str),
        "object": event.object,
    })
}

/// One remembered device, as JSON.
pub fn device_json(stored: &StoredDevice) -> serde_json::Value {
    let device = &stored.device;
    json!({
        "id": stored.id.as_str(),
        "client_id": device.client_id,
        "label": device.label,
        "created_at": device.created_at.as_secs(),
        "used_at": device.used_at.as_secs(),
        "forget_at": device.forget_at.as_secs(),
    })
}
