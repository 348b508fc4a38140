//! Audit events as log lines with the target `audit`.

use tracing::{info, warn};

use crate::{
    policy::Challenge,
    step_up::{Audit, AuditEvent, AuditOutcome},
};

/// Writes audit events to the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogAudit;

impl Audit for LogAudit {
    fn record(&self, event: &AuditEvent<'_>) {
        let subject = event.subject.as_str();
        let outcome = name(event.outcome);
        match event.outcome {
            // Whoever is refused may have typed a password for a user name: it is not written down.
            AuditOutcome::UpstreamRefused => info!(target: "audit", outcome),
            AuditOutcome::ReleasedWithoutFactor => info!(target: "audit", subject, outcome),
            AuditOutcome::ReleasedWithFactor => {
                let factor = event.factor.map(ToString::to_string);
                info!(target: "audit", subject, outcome, factor);
            }
            AuditOutcome::Challenged(Challenge::PasscodeWanted) => {
                info!(target: "audit", subject, outcome);
            }
            AuditOutcome::Challenged(_) | AuditOutcome::Failed => {
                warn!(target: "audit", subject, outcome);
            }
        }
    }
}

/// The outcome's name in the log: part of the documented interface.
const fn name(outcome: AuditOutcome) -> &'static str {
    match outcome {
        AuditOutcome::UpstreamRefused => "upstream_refused",
        AuditOutcome::ReleasedWithoutFactor => "released_without_factor",
        AuditOutcome::ReleasedWithFactor => "released_with_factor",
        AuditOutcome::Challenged(Challenge::PasscodeWanted) => "passcode_wanted",
        AuditOutcome::Challenged(Challenge::WrongPasscode) => "wrong_passcode",
        AuditOutcome::Challenged(Challenge::UsedPasscode) => "used_passcode",
        AuditOutcome::Challenged(Challenge::Locked { .. }) => "locked",
        AuditOutcome::Challenged(Challenge::LockedForGood) => "locked_for_good",
        AuditOutcome::Failed => "failed",
    }
}
