//! `[grants]`: what is done with each grant type.

use super::reader::Reader;
use crate::policy::grants::{GrantRule, GrantRules, PASSWORD, REFRESH_TOKEN};

pub(super) fn read(reader: &mut Reader<'_>) -> GrantRules {
    let default = GrantRules::default();
    let gated = reader.list("grants.gated", grant_type).unwrap_or(default.gated);
    let passed = reader.list("grants.passed", grant_type).unwrap_or(default.passed);
    let refresh = reader.text("grants.refresh", |text| match text {
        "passed" => Ok(GrantRule::Passed),
        "enrolled-after" => Ok(GrantRule::EnrolledAfter),
        "refused" => Ok(GrantRule::Refused),
        _ => Err("must be passed, enrolled-after or refused".into()),
    });
    if passed.iter().any(|grant| grant == PASSWORD) {
        reader.contradiction("grants.passed", "must not hold password: its tokens are what is protected");
    }
    if passed.iter().chain(&gated).any(|grant| grant == REFRESH_TOKEN) {
        reader.contradiction(
            "grants.refresh",
            "is where refresh_token is set, not grants.passed or grants.gated",
        );
    }
    if let Some(both) = gated.iter().find(|grant| passed.contains(grant)) {
        reader.contradiction("grants.gated", format!("must not hold {both} if grants.passed does"));
    }
    GrantRules { gated, passed, refresh: refresh.unwrap_or(default.refresh) }
}

/// For how long refresh tokens are remembered, where that is needed.
pub(super) fn remember_refresh_secs(reader: &mut Reader<'_>, grants: &GrantRules) -> Option<u64> {
    const DAY: u64 = 24 * 3600;
    let secs = reader.number("grants.remember_refresh_secs", 60..=3650 * DAY, 30 * DAY);
    (grants.refresh == GrantRule::EnrolledAfter).then_some(secs)
}

/// Where the implicit grant with a password in the query is gated; it is refused everywhere else.
pub(super) fn implicit_path(reader: &mut Reader<'_>) -> Option<String> {
    reader.text("grants.implicit_path", |text| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.".contains(&b);
        if text.starts_with('/') && text.len() > 1 && !text.contains("//") && text.bytes().all(is_plain) {
            Ok(text.to_owned())
        } else {
            Err("must be a plain path, such as /oauth2/authorize".into())
        }
    })
}

/// RFC 6749 appendix A.10, as token requests are held to it.
fn grant_type(text: &str) -> Result<String, String> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:/".contains(&b);
    if !text.is_empty() && text.bytes().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err("must hold grant types, such as client_credentials".into())
    }
}
