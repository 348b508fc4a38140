//! Audit events: counted, and written as log lines with the target `audit`, or as JSON lines to where they are wanted.
//!
//! The JSON line is a documented interface: `docs/audit-events.md`, `docs/audit-event.schema.json`.

use serde::Serialize;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{ChallengeNews, EventSender, Metrics, SystemClock};
use crate::{
    headers::TraceId,
    policy::{Challenge, Denial, Means},
    step_up::{Asker, Audit, AuditEvent, AuditOutcome, Clock as _},
    types::{FactorId, SubjectId, UnixTime},
};

/// Bytes of a segment of a path that may be a word.
const WORD_BYTES_MAX: usize = 24;
/// Characters of what a client calls itself.
const CLIENT_CHARACTERS_MAX: usize = 100;
/// The version of the JSON line. Members may be added without a new one.
const VERSION: u32 = 1;

/// Writes audit events, and counts them.
#[derive(Debug, Clone)]
pub struct AuditLog {
    metrics: Metrics,
    events: Option<EventSender>,
    challenges: Option<mpsc::Sender<ChallengeNews>>,
}

impl AuditLog {
    /// Counts into these metrics, and writes to the log, or to `events`. Whoever watches over challenges is told of
    /// them, unless too much waits for it.
    pub const fn new(
        metrics: Metrics,
        events: Option<EventSender>,
        challenges: Option<mpsc::Sender<ChallengeNews>>,
    ) -> Self {
        Self { metrics, events, challenges }
    }

    /// What is counted.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Right passwords of a subject were followed by no code, so often since then.
    pub fn abandoned(&self, subject: &SubjectId, count: u64, since: UnixTime) {
        self.metrics.challenges_abandoned(count);
        let subject = subject.as_str();
        match &self.events {
            None => warn!(target: "audit", outcome = "challenge_abandoned", subject, count),
            Some(events) => {
                let event = Line {
                    subject: Some(subject),
                    count: Some(count),
                    since: Some(since.to_timestamp().to_string()),
                    ..Line::of("challenge_abandoned")
                };
                events.send(event.line());
            }
        }
    }

    fn tell(&self, subject: Option<&SubjectId>, outcome: AuditOutcome) {
        let (Some(challenges), Some(subject)) = (&self.challenges, subject) else { return };
        let news = match outcome {
            AuditOutcome::Challenged(Challenge::PasscodeWanted) => {
                ChallengeNews::Asked(subject.clone(), SystemClock.now())
            }
            AuditOutcome::ReleasedWithFactor(_) | AuditOutcome::Verified | AuditOutcome::SignedIn => {
                ChallengeNews::Met(subject.clone())
            }
            AuditOutcome::UpstreamRefused
            | AuditOutcome::ReleasedWithoutFactor
            | AuditOutcome::ReleasedByRule
            | AuditOutcome::ReleasedByRefresh
            | AuditOutcome::Challenged(_)
            | AuditOutcome::Denied(_)
            | AuditOutcome::Failed => return,
        };
        // Of a flood not every one need be watched.
        let _ = challenges.try_send(news);
    }
}

impl Audit for AuditLog {
    fn record(&self, event: &AuditEvent<'_>) {
        match event {
            AuditEvent::Grant { subject, outcome, .. } => {
                self.metrics.grant(*outcome);
                self.tell(*subject, *outcome);
            }
            AuditEvent::TokenSeen { is_stopped: true, .. } => self.metrics.tripwire_stopped(),
            AuditEvent::TokenSeen { is_stopped: false, .. } | AuditEvent::DeviceReused { .. } => {}
        }
        match &self.events {
            None => log(event),
            Some(events) => events.send(line(event)),
        }
    }
}

/// One line. What is not known is left out.
#[derive(Debug, Default, Serialize)]
struct Line<'a> {
    v: u32,
    time: String,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    factor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enforced: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

impl<'a> Line<'a> {
    fn of(event: &'a str) -> Self {
        Self { v: VERSION, time: SystemClock.now().to_timestamp().to_string(), event, ..Self::default() }
    }

    fn line(&self) -> String {
        // It is made of texts and numbers, which JSON has a place for.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn line(event: &AuditEvent<'_>) -> String {
    match event {
        AuditEvent::Grant { subject, asker, outcome, factor, rule, is_enforced } => Line {
            outcome: Some(name(*outcome)),
            subject: subject_of(*subject, *outcome),
            client_id: asker.client_id.map(client),
            client: asker.address.map(|address| address.to_string()),
            trace_id: asker.trace_id.as_ref().map(TraceId::as_str),
            factor: factor.map(FactorId::as_str),
            rule: *rule,
            enforced: Some(*is_enforced),
            ..Line::of("grant")
        },
        AuditEvent::DeviceReused { subject, device } => Line {
            subject: Some(subject.as_str()),
            device: Some(device.as_str()),
            ..Line::of("device_reused")
        },
        AuditEvent::TokenSeen { path, why, is_stopped } => Line {
            path: Some(shown(path)),
            why: Some(why.to_string()),
            ..Line::of(if *is_stopped { "token_stopped" } else { "token_seen" })
        },
    }
    .line()
}

fn log(event: &AuditEvent<'_>) {
    match event {
        AuditEvent::Grant { subject, asker, outcome, factor, rule, is_enforced } => {
            let subject = subject_of(*subject, *outcome);
            let factor = factor.map(FactorId::as_str);
            // Said only where it is not so.
            let enforced = (!is_enforced).then_some(false);
            let Asker { client_id, address, trace_id } = *asker;
            let (client_id, client) = (client_id.map(client), address.as_ref().map(tracing::field::display));
            let trace_id = trace_id.as_ref().map(TraceId::as_str);
            let (outcome, is_warning) = (name(*outcome), is_warning(*outcome));
            if is_warning {
                warn!(target: "audit", subject, outcome, rule, enforced, client_id, client, trace_id);
            } else {
                info!(target: "audit", subject, outcome, factor, rule, enforced, client_id, client, trace_id);
            }
        }
        AuditEvent::DeviceReused { subject, device } => {
            warn!(target: "audit", outcome = "device_reused", %subject, %device);
        }
        AuditEvent::TokenSeen { path, why, is_stopped } => {
            let outcome = if *is_stopped { "token_stopped" } else { "token_seen" };
            warn!(target: "audit", outcome, path = shown(path), %why);
        }
    }
}

/// Whoever is refused may have typed a password for a user name: it is not written down.
fn subject_of(subject: Option<&SubjectId>, outcome: AuditOutcome) -> Option<&str> {
    subject.filter(|_| outcome != AuditOutcome::UpstreamRefused).map(SubjectId::as_str)
}

/// What a client calls itself, which may be anything.
fn client(id: &str) -> &str {
    id.char_indices().nth(CLIENT_CHARACTERS_MAX).map_or(id, |(end, _)| &id[..end])
}

const fn is_warning(outcome: AuditOutcome) -> bool {
    match outcome {
        AuditOutcome::UpstreamRefused
        | AuditOutcome::ReleasedWithoutFactor
        | AuditOutcome::ReleasedWithFactor(_)
        | AuditOutcome::ReleasedByRule
        | AuditOutcome::ReleasedByRefresh
        | AuditOutcome::SignedIn
        | AuditOutcome::Verified
        | AuditOutcome::Challenged(Challenge::PasscodeWanted) => false,
        AuditOutcome::Challenged(_) | AuditOutcome::Denied(_) | AuditOutcome::Failed => true,
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

/// The outcomes' names in the log and in the metrics: part of the documented interface.
pub(super) const OUTCOMES: [&str; 19] = [
    "upstream_refused",
    "released_without_factor",
    "released_with_factor",
    "released_with_device",
    "released_with_recovery_code",
    "released_by_rule",
    "released_by_refresh",
    "signed_in",
    "verified",
    "passcode_wanted",
    "wrong_passcode",
    "used_passcode",
    "locked",
    "locked_for_good",
    "enrolment_wanted",
    "refused_by_rule",
    "unknown_address",
    "issued_before_enrolment",
    "failed",
];

/// The place of an outcome among [`OUTCOMES`].
pub(super) const fn place(outcome: AuditOutcome) -> usize {
    match outcome {
        AuditOutcome::UpstreamRefused => 0,
        AuditOutcome::ReleasedWithoutFactor => 1,
        AuditOutcome::ReleasedWithFactor(Means::Passcode) => 2,
        AuditOutcome::ReleasedWithFactor(Means::Device) => 3,
        AuditOutcome::ReleasedWithFactor(Means::RecoveryCode) => 4,
        AuditOutcome::ReleasedByRule => 5,
        AuditOutcome::ReleasedByRefresh => 6,
        AuditOutcome::SignedIn => 7,
        AuditOutcome::Verified => 8,
        AuditOutcome::Challenged(Challenge::PasscodeWanted) => 9,
        AuditOutcome::Challenged(Challenge::WrongPasscode) => 10,
        AuditOutcome::Challenged(Challenge::UsedPasscode) => 11,
        AuditOutcome::Challenged(Challenge::Locked { .. }) => 12,
        AuditOutcome::Challenged(Challenge::LockedForGood) => 13,
        AuditOutcome::Challenged(Challenge::EnrolmentWanted) => 14,
        AuditOutcome::Denied(Denial::Policy) => 15,
        AuditOutcome::Denied(Denial::UnknownAddress) => 16,
        AuditOutcome::Denied(Denial::IssuedBeforeEnrolment) => 17,
        AuditOutcome::Failed => 18,
    }
}

const fn name(outcome: AuditOutcome) -> &'static str {
    OUTCOMES[place(outcome)]
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

    #[test]
    fn who_was_refused_is_not_named() {
        let alice = crate::identity::fold_username("hunter22").unwrap();
        let event = |outcome| AuditEvent::Grant {
            subject: Some(&alice),
            asker: Asker::default(),
            outcome,
            factor: None,
            rule: None,
            is_enforced: true,
        };
        assert!(!line(&event(AuditOutcome::UpstreamRefused)).contains("hunter22"));
        assert!(line(&event(AuditOutcome::Failed)).contains("hunter22"));
    }
}
