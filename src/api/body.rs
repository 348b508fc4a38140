//! The body of a request: bounded, in JSON, and with no member that is not known.
//!
//! Invariant: what is said of a faulty body names the member and never shows its value, which may be a secret.

use std::time::Duration;

use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use serde::{Deserialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::problem::Problem;
use crate::{types::Secret, upstream::ClientBody};

/// Bytes of a body; real ones have less than 1 KiB.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a complaint: a name that is not known may be as long as the body.
const COMPLAINT_CHARACTERS_MAX: usize = 200;

/// A body that was read whole.
#[derive(Debug)]
pub(super) struct ReadBody {
    bytes: Zeroizing<Vec<u8>>,
    is_json: bool,
}

impl ReadBody {
    /// Reads it, within its bounds.
    pub(super) async fn read(headers: &HeaderMap, body: ClientBody) -> Result<Self, Problem> {
        if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
            return Err(Problem::BodyTooLarge);
        }
        let is_json = is_json(headers);
        let whole = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await;
        match whole {
            Err(_) => Err(Problem::BodyTimedOut),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::BodyTooLarge),
            Ok(Err(_)) => Err(Problem::Malformed("the body is broken".into())),
            Ok(Ok(whole)) => Ok(Self { bytes: Zeroizing::new(whole.to_bytes().to_vec()), is_json }),
        }
    }

    /// What it says, if it must be there.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if !self.is_json {
            return Err(Problem::NotJson);
        }
        // Serde would take a list for the members in their order.
        if self.bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(Problem::Malformed("the body must be a JSON object".into()));
        }
        let mut json = serde_json::Deserializer::from_slice(&self.bytes);
        let read = serde_path_to_error::deserialize(&mut json).map_err(|error| faulty(&error))?;
        json.end().map_err(|_| Problem::Malformed("the body holds more than one JSON object".into()))?;
        Ok(read)
    }

    /// What it says, or the default if there is none.
    pub(super) fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.bytes.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// Refuses one where there must be none.
    pub(super) fn nothing(&self) -> Result<(), Problem> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        Err(Problem::Malformed("the request must have no body".into()))
    }
}

/// `application/json`; a parameter has no meaning there (RFC 8259 section 11).
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let media_type = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// Serde's complaints of names hold the names alone; its other ones show what was found instead.
fn faulty(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let (path, inner) = (error.path().to_string(), error.inner());
    let complaint = inner.to_string();
    let is_of_names =
        ["unknown field", "missing field", "duplicate field"].iter().any(|kind| complaint.starts_with(kind));
    let rule = match inner.classify() {
        serde_json::error::Category::Data if is_of_names => {
            let complaint = complaint.replace("field", "member").replace('`', "'");
            let complaint =
                complaint.rsplit_once(" at line ").map_or(&*complaint, |(text, _)| text).to_owned();
            format!("the body has a fault: {complaint}")
        }
        serde_json::error::Category::Data => format!("the body's member '{path}' is of the wrong type"),
        _ => format!("the body is not JSON (line {}, column {})", inner.line(), inner.column()),
    };
    Problem::Malformed(rule.chars().take(COMPLAINT_CHARACTERS_MAX).collect())
}

/// A factor to enrol.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFactorBody {
    #[serde(default)]
    pub(super) label: Option<String>,
    #[serde(default)]
    pub(super) pending: bool,
    #[serde(default)]
    pub(super) secret: Option<Secret<String>>,
}

/// A code that confirms a factor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfirmationBody {
    pub(super) code: Secret<String>,
}

/// Another name of a factor; `null` takes its name away.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LabelBody {
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) label: Option<String>,
}

/// Whose alias a name is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AliasBody {
    pub(super) subject: String,
    /// Whether that subject may have no factor.
    #[serde(default)]
    pub(super) not_enrolled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T: DeserializeOwned + std::fmt::Debug>(body: &str) -> String {
        let body = ReadBody { bytes: Zeroizing::new(body.as_bytes().to_vec()), is_json: true };
        body.json::<T>().map_or_else(|problem| problem.to_string(), |read| format!("{read:?}"))
    }

    #[test]
    fn a_faulty_body_is_told_by_its_member_and_not_by_its_value() {
        for (body, expected) in [
            ("{}", "NewFactorBody { label: None, pending: false, secret: None }"),
            (
                "{\"secret\": \"HUNTER22\"}",
                "NewFactorBody { label: None, pending: false, secret: Some([redacted]) }",
            ),
            ("{\"secret\": 22334455}", "the body's member 'secret' is of the wrong type"),
            ("{\"pending\": \"HUNTER22\"}", "the body's member 'pending' is of the wrong type"),
            (
                "{\"x\": 1}",
                "the body has a fault: unknown member 'x', expected one of 'label', 'pending', 'secret'",
            ),
            ("{\"label\": \"a\", \"label\": \"b\"}", "the body has a fault: duplicate member 'label'"),
            ("[]", "the body must be a JSON object"),
            ("\"HUNTER22\"", "the body must be a JSON object"),
            ("{\"label\": HUNTER22}", "the body is not JSON (line 1, column 11)"),
            ("{} {}", "the body holds more than one JSON object"),
            ("", "the body is not JSON (line 1, column 0)"),
        ] {
            assert_eq!(said::<NewFactorBody>(body), expected, "{body}");
        }
        assert_eq!(said::<LabelBody>("{}"), "the body has a fault: missing member 'label'");
        assert_eq!(said::<LabelBody>("{\"label\": null}"), "LabelBody { label: None }");
        let long = format!("{{\"{}\": 1}}", "x".repeat(60_000));
        assert_eq!(said::<LabelBody>(&long).len(), COMPLAINT_CHARACTERS_MAX);
    }

    #[test]
    fn json_is_told_by_its_media_type() {
        let header = |values: &[&str]| values.iter().map(|v| (CONTENT_TYPE, v.parse().unwrap())).collect();
        assert!(
            is_json(&header(&["application/json"])) && is_json(&header(&["Application/JSON; charset=utf-8"]))
        );
        assert!(!is_json(&header(&[])) && !is_json(&header(&["text/json"])));
        assert!(!is_json(&header(&["application/json", "application/json"])));
    }
}
