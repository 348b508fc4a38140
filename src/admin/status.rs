//! What an administrator sees of a subject.

use std::fmt;

use serde_json::json;

use crate::{
    step_up::{EnrolmentRegistry, StoreError, SubjectStatus},
    types::{SubjectId, UnixTime},
};

/// A subject's factors and locks, at a time.
#[derive(Debug)]
pub struct StatusReport {
    subject: SubjectId,
    status: SubjectStatus,
    now: UnixTime,
}

/// Asks the store.
pub async fn status(
    registry: &impl EnrolmentRegistry,
    subject: &SubjectId,
    now: UnixTime,
) -> Result<StatusReport, StoreError> {
    let status = registry.status(subject).await?;
    Ok(StatusReport { subject: subject.clone(), status, now })
}

impl StatusReport {
    /// Seconds until attempts are looked at again; `None` if they are looked at.
    fn locked_for_secs(&self) -> Option<u64> {
        Some(self.now.secs_until(self.status.ledger.locked_until)).filter(|secs| *secs > 0)
    }

    /// The documented JSON of `tfa-gateway status --json`.
    pub fn to_json(&self) -> serde_json::Value {
        let ledger = &self.status.ledger;
        let factors: Vec<_> = self
            .status
            .factors
            .iter()
            .map(|factor| {
                json!({
                    "id": factor.id,
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
        json!({
            "subject": self.subject.as_str(),
            "alias_of": self.status.alias_of.as_ref().map(SubjectId::as_str),
            "enrolled": !factors.is_empty(),
            "factors": factors,
            "failures": ledger.failures.len(),
            "failures_in_a_row": ledger.failures_in_a_row,
            "locks_in_a_row": ledger.locks_in_a_row,
            "locked_for_secs": self.locked_for_secs(),
            "locked_for_good": ledger.is_locked_for_good(),
        })
    }
}

impl fmt::Display for StatusReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.status.alias_of {
            return writeln!(f, "  alias of {subject}");
        }
        let enrolled = if self.status.factors.is_empty() { "not enrolled" } else { "enrolled" };
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
            writeln!(f)?;
            if let Some(problem) = &factor.problem {
                writeln!(f, "    PROBLEM: {problem}; no token is released for this subject")?;
            }
        }
        let ledger = &self.status.ledger;
        if ledger.failures_in_a_row > 0 {
            writeln!(f, "  {} failed attempts since the last success", ledger.failures_in_a_row)?;
        }
        if ledger.is_locked_for_good() {
            writeln!(f, "  LOCKED until an administrator runs `tfa-gateway unlock {}`", self.subject)?;
        } else if let Some(secs) = self.locked_for_secs() {
            writeln!(f, "  LOCKED for another {secs} s")?;
        }
        Ok(())
    }
}
