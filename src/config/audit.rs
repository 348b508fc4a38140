//! `[audit]`, where audit events go, and `[otlp]`, where spans go.

use std::{path::Path, time::Duration};

use super::reader::Reader;
use crate::{
    store::StoreChoice,
    telemetry::{AuditFile, AuditTarget},
};

/// For longer a code that was accepted by another gateway is not remembered for certain
/// ([`USED_STEP_MARGIN_SECS`](crate::types::limits::USED_STEP_MARGIN_SECS)).
const ABANDONED_AFTER_MINUTES_MAX: u64 = 60;

/// Where events go; without a file, what belongs to one is a fault.
pub(super) fn target(reader: &mut Reader<'_>, base: &Path, store: Option<&StoreChoice>) -> AuditTarget {
    let name = reader.text("audit.to", |text| match text {
        "log" | "stdout" | "file" | "redis" => Ok(text.to_owned()),
        _ => Err("must be log, stdout, file or redis".into()),
    });
    let name = name.unwrap_or_else(|| "log".into());
    let path = reader.text("audit.file", |text| {
        if text.is_empty() { Err("must name a file".to_owned()) } else { Ok(base.join(text)) }
    });
    let bytes_max = reader.number("audit.file_bytes_max", 4096..=1 << 40, 100 << 20);
    let files_max = reader.number("audit.files_max", 0..=1000, 10);
    match (name.as_str(), path) {
        ("stdout", _) => AuditTarget::Stdout,
        ("file", Some(path)) => AuditTarget::File(AuditFile { path, bytes_max, files_max }),
        ("file", None) => {
            if !reader.is_set("audit.file") {
                reader.contradiction("audit.file", "must be set when audit.to is file");
            }
            AuditTarget::Log
        }
        ("redis", _) => {
            if matches!(store, Some(StoreChoice::Embedded(_))) {
                reader.contradiction("audit.to", "can be redis only if the store is");
            }
            AuditTarget::Redis
        }
        _ => AuditTarget::Log,
    }
}

/// Where spans go.
pub(super) fn otlp_endpoint(reader: &mut Reader<'_>) -> Option<String> {
    let endpoint = reader.text("otlp.endpoint", |text| {
        let is_url = text.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some()
                && uri.query().is_none()
        });
        if is_url {
            Ok(text.to_owned())
        } else {
            Err("must be a URL such as http://127.0.0.1:4318".to_owned())
        }
    });
    if endpoint.is_some() && !cfg!(feature = "otlp") {
        reader.contradiction("otlp.endpoint", "needs a gateway that was built with `--features otlp`");
    }
    endpoint
}

/// After how long a challenge that was not met is told of; `None`: never.
pub(super) fn abandoned_after(reader: &mut Reader<'_>) -> Option<Duration> {
    let minutes: u64 = reader.number("audit.abandoned_after_minutes", 0..=ABANDONED_AFTER_MINUTES_MAX, 10);
    (minutes > 0).then(|| Duration::from_secs(minutes * 60))
}
