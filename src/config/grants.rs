//! `[grants]`: what is done with each grant type.

use super::reader::Reader;
use crate::policy::grants::{GrantRule, GrantRules, PASSWORD, REFRESH_TOKEN};

pub(super) fn read(reader: &mut Reader<'_>) -> GrantRules {
    let default = GrantRules::default();
    let gated = reader.list("grants.gated", grant_type).unwrap_or(default.gated);
    let passed = reader.list("grants.passed", grant_type).unwrap_or(default.passed);
    let refresh = reader.text("grants.refresh", |text| match text {
        "passed" => Ok(GrantRule::Passed),
        "refused" => Ok(GrantRule::Refused),
        _ => Err("must be passed or refused".into()),
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

/// RFC 6749 appendix A.10, as token requests are held to it.
fn grant_type(text: &str) -> Result<String, String> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:/".contains(&b);
    if !text.is_empty() && text.bytes().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err("must hold grant types, such as client_credentials".into())
    }
}
