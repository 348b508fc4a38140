//! Audit events as log lines with the target `audit`.

use tracing::{info, warn};

use super::Metrics;
use crate::{
    policy::{Challenge, Denial, Means},
    step_up::{Audit, AuditEvent, AuditOutcome},
    types::{FactorId, SubjectId},
};

/// Bytes of a segment of a path that may be a word.
const WORD_BYTES_MAX: usize = 24;

/// Writes audit events to the log, and counts those that have a metric.
#[derive(Debug)]
pub struct LogAudit {
    metrics: Metrics,
}

impl LogAudit {
    /// Counts into these metrics.
    pub const fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

impl Audit for LogAudit {
    fn record(&self, event: &AuditEvent<'_>) {
        match event {
            AuditEvent::Grant { .. } => grant(event),
            AuditEvent::TokenSeen { path, why, is_stopped } => {
                if *is_stopped {
                    self.metrics.tripwire_stopped();
                }
                let outcome = if *is_stopped { "token_stopped" } else { "token_seen" };
                warn!(target: "audit", outcome, path = shown(path), %why);
            }
        }
    }
}

fn grant(event: &AuditEvent<'_>) {
    let AuditEvent::Grant { subject, outcome, factor, rule, is_enforced } = *event else { return };
    let subject = subject.map(SubjectId::as_str);
    let factor = factor.map(FactorId::as_str);
    // Said only where it is not so.
    let enforced = (!is_enforced).then_some(false);
    let name = name(outcome);
    match outcome {
        // Whoever is refused may have typed a password for a user name: it is not written down.
        AuditOutcome::UpstreamRefused => info!(target: "audit", outcome = name),
        AuditOutcome::ReleasedWithoutFactor
        | AuditOutcome::ReleasedWithFactor(_)
        | AuditOutcome::ReleasedByRule
        | AuditOutcome::ReleasedByRefresh
        | AuditOutcome::SignedIn
        | AuditOutcome::Verified
        | AuditOutcome::Challenged(Challenge::PasscodeWanted) => {
            info!(target: "audit", subject, outcome = name, factor, rule, enforced);
        }
        AuditOutcome::Challenged(_) | AuditOutcome::Denied(_) | AuditOutcome::Failed => {
            warn!(target: "audit", subject, outcome = name, rule, enforced);
        }
    }
}

/// A path without what may be a secret: a segment that is long, or not of plain words.
fn shown(path: &str) -> String {
    let is_word = |segment: &str| {
        segment.len() <= WORD_BYTES_MAX
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let segments: Vec<&str> =
        path.split('/').map(|segment| if is_word(segment) { segment } else { "*" }).collect();
    segments.join("/")
}

/// The outcome's name in the log: part of the documented interface.
const fn name(outcome: AuditOutcome) -> &'static str {
    match outcome {
        AuditOutcome::UpstreamRefused => "upstream_refused",
        AuditOutcome::ReleasedWithoutFactor => "released_without_factor",
        AuditOutcome::ReleasedWithFactor(Means::Passcode) => "released_with_factor",
        AuditOutcome::ReleasedWithFactor(Means::Device) => "released_with_device",
        AuditOutcome::ReleasedWithFactor(Means::RecoveryCode) => "released_with_recovery_code",
        AuditOutcome::ReleasedByRule => "released_by_rule",
        AuditOutcome::ReleasedByRefresh => "released_by_refresh",
        AuditOutcome::SignedIn => "signed_in",
        AuditOutcome::Verified => "verified",
        AuditOutcome::Challenged(Challenge::PasscodeWanted) => "passcode_wanted",
        AuditOutcome::Challenged(Challenge::WrongPasscode) => "wrong_passcode",
        AuditOutcome::Challenged(Challenge::UsedPasscode) => "used_passcode",
        AuditOutcome::Challenged(Challenge::Locked { .. }) => "locked",
        AuditOutcome::Challenged(Challenge::LockedForGood) => "locked_for_good",
        AuditOutcome::Challenged(Challenge::EnrolmentWanted) => "enrolment_wanted",
        AuditOutcome::Denied(Denial::Policy) => "refused_by_rule",
        AuditOutcome::Denied(Denial::UnknownAddress) => "unknown_address",
        AuditOutcome::Denied(Denial::IssuedBeforeEnrolment) => "issued_before_enrolment",
        AuditOutcome::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_without_what_may_be_a_secret() {
        assert_eq!(shown("/en/oauth2/token.json"), "/en/oauth2/token.json");
        assert_eq!(shown("/oauth2/tokens/0123456789abcdef0123456789abcdef/x"), "/oauth2/tokens/*/x");
        assert_eq!(shown("/a%20b/c"), "/*/c");
    }
}
