//! Why a token request is not forwarded.

use std::fmt;

/// A rule that a token request breaks: `invalid_request` of RFC 6749 section 5.2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RequestFault {
    subject: String,
    rule: &'static str,
    /// Whether the subject is a name that the request chose.
    is_foreign: bool,
}

/// Parameters of RFC 6749, RFC 7521 and RFC 7636. Any other name may be a piece of a password whose `&` was not
/// encoded.
const KNOWN: [&str; 15] = [
    "assertion",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "code_verifier",
    "grant_type",
    "password",
    "redirect_uri",
    "refresh_token",
    "response_type",
    "scope",
    "state",
    "username",
];

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
        Self { subject: format!("parameter '{shown}'"), rule, is_foreign: !KNOWN.contains(&name) }
    }

    /// A fault of a header.
    pub(crate) fn header(name: &str, rule: &'static str) -> Self {
        Self { subject: format!("header '{name}'"), rule, is_foreign: false }
    }

    /// A query that makes the target longer than any server takes.
    pub(crate) fn query_too_long() -> Self {
        Self { subject: "the query".into(), rule: "must be shorter", is_foreign: false }
    }

    /// More parameters than any client sends, of the body, the query, or both.
    pub(crate) fn too_many_parameters() -> Self {
        let rule = "must not have more than 64 parameters";
        Self { subject: "the request".into(), rule, is_foreign: false }
    }

    /// A fault of the body as a whole.
    pub(crate) fn body(rule: &'static str) -> Self {
        Self { subject: "the body".into(), rule, is_foreign: false }
    }

    /// What the log may say of it.
    pub(crate) fn logged(&self) -> String {
        let subject = if self.is_foreign { "a parameter of another name" } else { self.subject.as_str() };
        format!("{subject} {}", self.rule)
    }
}
