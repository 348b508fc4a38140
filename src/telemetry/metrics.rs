//! What is counted, for Prometheus.
//!
//! Invariants: to count is some relaxed atomic additions, without a lock, on a handle that is cheap to clone; no label
//! has a value that a client chose.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};

use super::{
    audit::{self, OUTCOMES},
    instruments::{CountOf, Histogram, Members},
    log::lines_dropped,
};
use crate::{
    headers::TraceParent,
    step_up::{
        AuditOutcome, Clock as _, Meter, RevocationMeter, RevocationOutcome, StoreError, StoreOperation,
        UpstreamFailure,
    },
};

/// The media type of [`Metrics::text`].
pub const METRICS_MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of this process. Clones count into the same.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    requests: Members<Counter>,
    request_durations: Members<Histogram>,
    requests_under_way: Level,
    connections: Level,
    grants: Members<Counter>,
    grant_durations: Members<Histogram>,
    challenges_abandoned: Counter,
    audit_events_lost: Counter,
    store_durations: Members<Histogram>,
    store_failures: Members<Counter>,
    upstream_durations: Histogram,
    upstream_failures: Members<Counter>,
    upstream_connections: Level,
    tripwire_stopped: Counter,
    revocations: Members<Counter>,
    revocation_backlog: Gauge<u64, AtomicU64>,
    config_reloads: Members<Counter>,
    config_is_current: Gauge<u64, AtomicU64>,
    #[cfg(feature = "otlp")]
    spans: std::sync::OnceLock<super::Spans>,
}

type Level = Gauge<i64, AtomicI64>;

/// Which way a request went. The names are part of the documented interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestRoute {
    /// The token endpoint, and the implicit grant with a password.
    Token,
    /// To the upstream.
    PassThrough,
    /// The self-service pages.
    Portal,
    /// Nowhere: it resembles the token endpoint.
    Disguised,
}

/// Which kind of grant was asked for. The names are part of the documented interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantKind {
    /// `grant_type=password`.
    Password,
    /// `grant_type=refresh_token`.
    RefreshToken,
    /// The implicit grant with a password in its query.
    Implicit,
    /// All others.
    Other,
}

/// How a grant ended, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantEnd {
    /// It is of a type that passes.
    Passed,
    /// Its token left.
    Released,
    /// The upstream refused it.
    Refused,
    /// A code was asked for.
    Challenged,
    /// Its token was withheld for good.
    Denied,
    /// Something broke.
    Failed,
}

const GRANTS: [&str; 4] = ["password", "refresh_token", "implicit", "other"];
const GRANT_ENDS: [&str; 6] = ["passed", "released", "refused", "challenged", "denied", "failed"];
const ROUTES: [&str; 4] = ["token", "pass_through", "portal", "disguised"];
/// The first digit of a status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const REVOCATIONS: [&str; 5] = ["revoked", "unsupported", "retried", "given_up", "lost"];
const OPERATIONS: [&str; 2] = ["find", "settle"];
const STORE_FAILURES: [&str; 4] = ["unreachable", "timed_out", "overloaded", "failed"];
const UPSTREAM_FAILURES: [&str; 4] = ["unreachable", "timed_out", "broken", "overloaded"];
const RELOADS: [&str; 2] = ["refused", "taken_over"];

impl Metrics {
    /// All of them at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("tfa_gateway");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The gateway that runs", version);
        let started = Gauge::<u64, AtomicU64>::default();
        started.set(super::SystemClock.now().as_secs());
        registry.register("start_time_seconds", "When it was started, in Unix seconds", started);
        let by_route = ROUTES
            .iter()
            .flat_map(|route| CLASSES.iter().map(|class| vec![("route", *route), ("status", *class)]));
        let by_grant = GRANTS
            .iter()
            .flat_map(|grant| GRANT_ENDS.iter().map(|end| vec![("grant", *grant), ("end", *end)]));
        let inner = Inner {
            requests: Members::new(by_route),
            request_durations: Members::of("route", &ROUTES),
            requests_under_way: Level::default(),
            connections: Level::default(),
            grants: Members::of("outcome", &OUTCOMES),
            grant_durations: Members::new(by_grant),
            challenges_abandoned: Counter::default(),
            audit_events_lost: Counter::default(),
            store_durations: Members::of("operation", &OPERATIONS),
            store_failures: Members::of("reason", &STORE_FAILURES),
            upstream_durations: Histogram::default(),
            upstream_failures: Members::of("reason", &UPSTREAM_FAILURES),
            upstream_connections: Level::default(),
            tripwire_stopped: Counter::default(),
            revocations: Members::of("outcome", &REVOCATIONS),
            revocation_backlog: Gauge::default(),
            config_reloads: Members::of("result", &RELOADS),
            config_is_current: Gauge::default(),
            #[cfg(feature = "otlp")]
            spans: std::sync::OnceLock::new(),
            registry,
        };
        Self(Arc::new(inner.registered()))
    }

    /// All of them, as Prometheus reads them ([`METRICS_MEDIA_TYPE`]).
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }

    /// What a request is part of, if somebody wants to know.
    pub fn parent(&self, headers: &HeaderMap) -> Option<TraceParent> {
        #[cfg(feature = "otlp")]
        return self.0.spans.get().and_then(|_| TraceParent::of(headers));
        #[cfg(not(feature = "otlp"))]
        let _ = headers;
        #[cfg(not(feature = "otlp"))]
        None
    }

    /// A request was answered, up to the head of its answer.
    pub fn request(
        &self,
        route: RequestRoute,
        status: StatusCode,
        took: Duration,
        parent: Option<TraceParent>,
    ) {
        #[cfg(feature = "otlp")]
        if let Some(spans) = self.0.spans.get() {
            spans.request(ROUTES[route as usize], status, took, parent);
        }
        #[cfg(not(feature = "otlp"))]
        let _ = parent;
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        inc(self.0.requests.at(route as usize * CLASSES.len() + class));
        observe(self.0.request_durations.at(route as usize), took);
    }

    /// Makes a span of each request, too. To be called once.
    #[cfg(feature = "otlp")]
    pub fn export(&self, spans: super::Spans) {
        let _ = self.0.spans.set(spans);
    }

    /// Sends what still waits to be exported.
    pub fn finish(&self) {
        #[cfg(feature = "otlp")]
        if let Some(spans) = self.0.spans.get() {
            spans.finish();
        }
    }

    /// So many requests more are under way, or fewer.
    pub fn requests_under_way(&self, more: i64) {
        self.0.requests_under_way.inner().fetch_add(more, Relaxed);
    }

    /// So many connections of clients more are open, or fewer.
    pub fn connections(&self, more: i64) {
        self.0.connections.inner().fetch_add(more, Relaxed);
    }

    /// A grant has ended.
    pub fn grant(&self, outcome: AuditOutcome) {
        inc(self.0.grants.at(audit::place(outcome)));
    }

    /// How long a grant took from its request to its end.
    pub fn grant_took(&self, kind: GrantKind, end: GrantEnd, took: Duration) {
        observe(self.0.grant_durations.at(kind as usize * GRANT_ENDS.len() + end as usize), took);
    }

    /// Somebody gave a right password, was asked for a code, and never gave one.
    pub fn challenges_abandoned(&self, count: u64) {
        self.0.challenges_abandoned.inc_by(count);
    }

    /// An audit event could not be written.
    pub fn audit_event_lost(&self) {
        self.0.audit_events_lost.inc();
    }

    /// An answer was stopped that nothing had cleared.
    pub fn tripwire_stopped(&self) {
        self.0.tripwire_stopped.inc();
    }

    /// The configuration is the one that the gateway was started with.
    pub fn config_reloaded_at_start(&self) {
        self.0.config_is_current.set(1);
    }

    /// The configuration was read anew, and taken over or refused.
    pub fn config_reloaded(&self, is_taken_over: bool) {
        inc(self.0.config_reloads.at(usize::from(is_taken_over)));
        self.0.config_is_current.set(u64::from(is_taken_over));
    }
}

impl Inner {
    /// The names and what they stand for: part of the documented interface.
    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "requests",
            "Requests by where they went and how they were answered",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From a request to the head of its answer",
            Unit::Seconds,
            self.request_durations.clone(),
        );
        let under_way = self.requests_under_way.clone();
        registry.register("requests_under_way", "Requests that wait for the head of their answer", under_way);
        registry.register("connections", "Connections of clients that are open", self.connections.clone());
        registry.register("grants", "Gated grants and sign-ins by how they ended", self.grants.clone());
        registry.register_with_unit(
            "grant_duration",
            "From a grant's request to its end, by its kind and how it ended",
            Unit::Seconds,
            self.grant_durations.clone(),
        );
        registry.register(
            "challenges_abandoned",
            "Right passwords whose code was asked for and never came",
            self.challenges_abandoned.clone(),
        );
        let lost = self.audit_events_lost.clone();
        registry.register("audit_events_lost", "Audit events that could not be written", lost);
        registry.register("log_lines_lost", "Lines of the log that found no room", CountOf(lines_dropped));
        registry.register_with_unit(
            "store_duration",
            "What the store takes, by what it was asked for",
            Unit::Seconds,
            self.store_durations.clone(),
        );
        registry.register(
            "store_failures",
            "Answers that the store did not give",
            self.store_failures.clone(),
        );
        registry.register_with_unit(
            "upstream_duration",
            "From a request to the upstream to the head of its answer",
            Unit::Seconds,
            self.upstream_durations.clone(),
        );
        let failures = self.upstream_failures.clone();
        registry.register("upstream_failures", "Answers that the upstream did not give", failures);
        let connections = self.upstream_connections.clone();
        registry.register("upstream_connections", "Connections to the upstream that are open", connections);
        registry.register(
            "tripwire_stopped",
            "Answers that were about to leave with a token that nothing had cleared",
            self.tripwire_stopped.clone(),
        );
        registry.register(
            "revocations",
            "Withheld tokens by what became of their revocation; retried counts attempts",
            self.revocations.clone(),
        );
        registry.register(
            "revocation_backlog",
            "Withheld tokens that are still to be revoked upstream",
            self.revocation_backlog.clone(),
        );
        registry.register(
            "config_reloads",
            "Configurations that were read anew",
            self.config_reloads.clone(),
        );
        registry.register(
            "config_is_current",
            "1 unless the configuration on disk was refused, and an older one goes on",
            self.config_is_current.clone(),
        );
        self
    }
}

fn inc(counter: Option<&Counter>) {
    if let Some(counter) = counter {
        counter.inc();
    }
}

fn observe(histogram: Option<&Histogram>, took: Duration) {
    if let Some(histogram) = histogram {
        histogram.observe(took);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter for Metrics {
    fn store(&self, operation: StoreOperation, took: Duration, error: Option<&StoreError>) {
        observe(self.0.store_durations.at(operation as usize), took);
        let Some(error) = error else { return };
        let reason = match error {
            StoreError::Unreachable(_) => 0,
            StoreError::TimedOut { .. } => 1,
            StoreError::Overloaded => 2,
            StoreError::Malformed { .. }
            | StoreError::Sealed { .. }
            | StoreError::Failed(_)
            | StoreError::Refused(_) => 3,
        };
        inc(self.0.store_failures.at(reason));
    }

    fn upstream(&self, took: Duration, failure: Option<UpstreamFailure>) {
        match failure {
            None => self.0.upstream_durations.observe(took),
            Some(failure) => inc(self.0.upstream_failures.at(failure as usize)),
        }
    }

    fn upstream_connections(&self, more: i64) {
        self.0.upstream_connections.inner().fetch_add(more, Relaxed);
    }
}

impl RevocationMeter for Metrics {
    fn count(&self, outcome: RevocationOutcome, revocations: u64) {
        let place = match outcome {
            RevocationOutcome::Revoked => 0,
            RevocationOutcome::Unsupported => 1,
            RevocationOutcome::Retried => 2,
            RevocationOutcome::GivenUp => 3,
            RevocationOutcome::Lost => 4,
        };
        if let Some(counter) = self.0.revocations.at(place) {
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
        clone.request(RequestRoute::PassThrough, StatusCode::NOT_FOUND, Duration::from_millis(3), None);
        clone.grant(AuditOutcome::UpstreamRefused);
        clone.grant_took(GrantKind::RefreshToken, GrantEnd::Challenged, Duration::from_millis(3));
        clone.connections(2);
        clone.connections(-1);
        clone.upstream(Duration::ZERO, Some(UpstreamFailure::TimedOut));
        clone.store(StoreOperation::Settle, Duration::ZERO, Some(&StoreError::Overloaded));
        let text = metrics.text().unwrap();
        let build = format!("tfa_gateway_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"));
        for line in [
            "tfa_gateway_tripwire_stopped_total 1\n",
            "tfa_gateway_revocations_total{outcome=\"revoked\"} 2\n",
            "tfa_gateway_revocations_total{outcome=\"lost\"} 0\n",
            "tfa_gateway_revocation_backlog 7\n",
            "tfa_gateway_requests_total{route=\"pass_through\",status=\"4xx\"} 1\n",
            "tfa_gateway_requests_total{route=\"token\",status=\"2xx\"} 0\n",
            "tfa_gateway_request_duration_seconds_count{route=\"pass_through\"} 1\n",
            "tfa_gateway_grants_total{outcome=\"upstream_refused\"} 1\n",
            "tfa_gateway_grant_duration_seconds_count{grant=\"refresh_token\",end=\"challenged\"} 1\n",
            "tfa_gateway_grant_duration_seconds_count{grant=\"password\",end=\"failed\"} 0\n",
            "tfa_gateway_connections 1\n",
            "tfa_gateway_log_lines_lost_total 0\n",
            "tfa_gateway_upstream_failures_total{reason=\"timed_out\"} 1\n",
            "tfa_gateway_store_failures_total{reason=\"overloaded\"} 1\n",
            "tfa_gateway_store_duration_seconds_count{operation=\"settle\"} 1\n",
            &build,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
