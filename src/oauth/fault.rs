//! Why a token request is not forwarded.

use std::fmt;

/// A rule that a token request breaks: `invalid_request` of RFC 6749 section 5.2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RequestFault {
    subject: String,
    rule: &'static str,
}

impl fmt::Display for RequestFault {
    /// Only characters that RFC 6749 section 5.2 allows in an `error_description`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.subject, self.rule)
    }
}

impl RequestFault {
    /// A fault of a parameter; its name is cut and cleaned, for it comes from the request.
    pub(crate) fn parameter(name: &str, rule: &'static str) -> Self {
        let shown: String = name
            .chars()
            .take(40)
            .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '\'') { c } else { '?' })
            .collect();
        Self { subject: format!("parameter '{shown}'"), rule }
    }

    /// A fault of a header.
    pub(crate) fn header(name: &str, rule: &'static str) -> Self {
        Self { subject: format!("header '{name}'"), rule }
    }

    /// A query that makes the target longer than any server takes.
    pub(crate) fn query_too_long() -> Self {
        Self { subject: "the query".into(), rule: "must be shorter" }
    }

    /// More parameters than any client sends, of the body, the query, or both.
    pub(crate) fn too_many_parameters() -> Self {
        Self { subject: "the request".into(), rule: "must not have more than 64 parameters" }
    }

    /// A fault of the body as a whole.
    pub(crate) fn body(rule: &'static str) -> Self {
        Self { subject: "the body".into(), rule }
    }
}
