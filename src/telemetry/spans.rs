//! A span for each request, for an OpenTelemetry collector: OTLP over HTTP, behind the feature `otlp`.
//!
//! Invariants: a span says where a request went and how it was answered, and nothing of what was in it; who exports
//! never keeps a request waiting.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
        Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};

use crate::headers::TraceParent;

/// Makes spans of requests that are over. Cheap to clone.
#[derive(Clone)]
pub struct Spans(Arc<Inner>);

struct Inner {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spans")
    }
}

impl Spans {
    /// Sends them to a collector, such as `http://127.0.0.1:4318`, from a thread of its own.
    pub fn to(endpoint: &str) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()?;
        let resource = Resource::builder()
            .with_service_name("tfa-gateway")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let tracer = provider.tracer("tfa-gateway");
        Ok(Self(Arc::new(Inner { provider, tracer })))
    }

    /// A request that took so long until now.
    pub(super) fn request(
        &self,
        route: &'static str,
        status: StatusCode,
        took: Duration,
        parent: Option<TraceParent>,
    ) {
        #[expect(clippy::disallowed_methods, reason = "spans are dated by the machine's clock")]
        let now = SystemTime::now();
        let context = parent.map_or_else(Context::new, |parent| {
            let flags = if parent.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
            let trace_id = TraceId::from_hex(parent.trace_id.as_str()).unwrap_or(TraceId::INVALID);
            let span_id = SpanId::from_bytes(parent.span_id);
            let remote =
                SpanContext::new(trace_id, span_id, flags, true, opentelemetry::trace::TraceState::default());
            Context::new().with_remote_span_context(remote)
        });
        let mut span = self
            .0
            .tracer
            .span_builder(route)
            .with_kind(SpanKind::Server)
            .with_start_time(now.checked_sub(took).unwrap_or(now))
            .with_attributes([
                KeyValue::new("tfa_gateway.route", route),
                KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
            ])
            .start_with_context(&self.0.tracer, &context);
        if status.is_server_error() {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(now);
    }

    /// Sends what still waits.
    pub(super) fn finish(&self) {
        if let Err(error) = self.0.provider.shutdown() {
            tracing::debug!(%error, "spans could not be sent");
        }
    }
}
