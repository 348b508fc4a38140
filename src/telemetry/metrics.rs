//! What is counted, for Prometheus.
//!
//! Invariants: to count is one relaxed atomic addition, without a lock, on a handle that is cheap to clone; no
//! label has a value that a client chose.

use std::sync::{Arc, atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use crate::step_up::{RevocationMeter, RevocationOutcome};

/// The media type of [`Metrics::text`].
pub const METRICS_MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of this process. Clones count into the same.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    tripwire_stopped: Counter,
    revocations: [(RevocationOutcome, Counter); OUTCOMES.len()],
    revocation_backlog: Gauge<u64, AtomicU64>,
}

/// The outcomes and their labels: part of the documented interface.
const OUTCOMES: [(RevocationOutcome, &str); 5] = [
    (RevocationOutcome::Revoked, "revoked"),
    (RevocationOutcome::Unsupported, "unsupported"),
    (RevocationOutcome::Retried, "retried"),
    (RevocationOutcome::GivenUp, "given_up"),
    (RevocationOutcome::Lost, "lost"),
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl Metrics {
    /// All of them at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("tfa_gateway");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The gateway that runs", version);
        let tripwire_stopped = Counter::default();
        registry.register(
            "tripwire_stopped",
            "Answers that were about to leave with a token that nothing had cleared",
            tripwire_stopped.clone(),
        );
        let family = Family::<OutcomeLabel, Counter>::default();
        registry.register(
            "revocations",
            "Withheld tokens by what became of their revocation; retried counts attempts",
            family.clone(),
        );
        // Looked up once: the family's own map has a lock.
        let revocations = OUTCOMES
            .map(|(outcome, label)| (outcome, family.get_or_create_owned(&OutcomeLabel { outcome: label })));
        let revocation_backlog = Gauge::default();
        registry.register(
            "revocation_backlog",
            "Withheld tokens that are still to be revoked upstream",
            revocation_backlog.clone(),
        );
        Self(Arc::new(Inner { registry, tripwire_stopped, revocations, revocation_backlog }))
    }

    /// An answer was stopped that nothing had cleared.
    pub fn tripwire_stopped(&self) {
        self.0.tripwire_stopped.inc();
    }

    /// All of them, as Prometheus reads them ([`METRICS_MEDIA_TYPE`]).
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::with_capacity(2048);
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl RevocationMeter for Metrics {
    fn count(&self, outcome: RevocationOutcome, revocations: u64) {
        if let Some((_, counter)) = self.0.revocations.iter().find(|(counted, _)| *counted == outcome) {
            counter.inc_by(revocations);
        }
    }

    fn set_backlog(&self, revocations: u64) {
        self.0.revocation_backlog.set(revocations);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_under_its_documented_name() {
        let metrics = Metrics::new();
        let clone = metrics.clone();
        clone.tripwire_stopped();
        clone.count(RevocationOutcome::Revoked, 2);
        clone.set_backlog(7);
        let text = metrics.text().unwrap();
        let build = format!("tfa_gateway_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"));
        for line in [
            "tfa_gateway_tripwire_stopped_total 1\n",
            "tfa_gateway_revocations_total{outcome=\"revoked\"} 2\n",
            "tfa_gateway_revocations_total{outcome=\"lost\"} 0\n",
            "tfa_gateway_revocation_backlog 7\n",
            &build,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
