//! What an upstream's answer to a token request is: a token, a refusal, or unclear.
//!
//! The rule: an answer is a token when its body says so, whatever its status; it is a refusal only when
//! it certainly holds none; and what is neither is unclear, which never clears anything.

use http::{HeaderMap, StatusCode, header::CONTENT_ENCODING};
use memchr::memmem;

/// The judgement of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It issues a token (RFC 6749 section 5.1).
    Token,
    /// It issues none (RFC 6749 section 5.2, or an error page of any kind).
    Refusal,
    /// It may hold a token and cannot be read; says why.
    Unclear(&'static str),
}

/// The members that carry credentials (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3).
const CREDENTIALS: [&str; 3] = ["access_token", "refresh_token", "id_token"];

/// Judges an answer that was read whole.
pub fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answer {
    let encoded = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded {
        return Answer::Unclear("it has a Content-Encoding, though none was accepted");
    }
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    match &json {
        Some(json) if holds_credentials(json) => return Answer::Token,
        // In JSON only a member's name counts, for an error may well mention a token.
        Some(_) => {}
        None if CREDENTIALS.iter().all(|name| memmem::find(body, name.as_bytes()).is_none()) => {}
        None if status.is_success() => return Answer::Token,
        // An error page that mentions one must not count as an accepted password.
        None => return Answer::Unclear("it mentions a token in what is not JSON"),
    }
    if status.is_client_error() || status.is_server_error() {
        return Answer::Refusal;
    }
    // Some servers refuse with a 200 (RFC 6749 section 5.2 wants a 400): the body says so.
    if json.as_ref().and_then(|json| json.get("error")).is_some() {
        return Answer::Refusal;
    }
    Answer::Unclear("it is neither an error nor a token answer in JSON")
}

/// Finds names at any depth, and such as were written with escapes (`\u0061ccess_token`).
fn holds_credentials(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Object(members) => members
            .iter()
            .any(|(name, value)| CREDENTIALS.contains(&name.as_str()) || holds_credentials(value)),
        serde_json::Value::Array(values) => values.iter().any(holds_credentials),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: u16, body: &str) -> Answer {
        classify(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn a_token_is_a_token_whatever_the_status() {
        for status in [200, 201, 302, 400, 401, 500] {
            assert_eq!(
                judge(status, r#"{"access_token":"x","token_type":"Bearer"}"#),
                Answer::Token,
                "{status}"
            );
        }
        assert_eq!(judge(200, r#"{"\u0061ccess_token":"x"}"#), Answer::Token);
        assert_eq!(judge(400, r#"{"data":[{"\u0069d_token":"x"}]}"#), Answer::Token);
    }

    #[test]
    fn a_token_that_is_not_quite_json_is_a_token() {
        for body in [
            "\u{feff}{\"access_token\":\"x\"}",
            "{\"access_token\":\"x\"}}",
            "access_token=x&token_type=bearer",
        ] {
            assert_eq!(judge(200, body), Answer::Token, "{body}");
            assert!(matches!(judge(400, body), Answer::Unclear(_)), "{body}");
        }
    }

    #[test]
    fn an_error_is_a_refusal() {
        let mention = r#"{"error":"invalid_grant","error_description":"no access_token for you"}"#;
        assert_eq!(judge(400, mention), Answer::Refusal);
        assert_eq!(judge(400, r#"{"error":"invalid_grant"}"#), Answer::Refusal);
        assert_eq!(judge(403, ""), Answer::Refusal);
        assert_eq!(judge(500, "<html>oops</html>"), Answer::Refusal);
        assert_eq!(judge(200, r#"{"error":"invalid_grant"}"#), Answer::Refusal);
    }

    #[test]
    fn what_cannot_be_read_is_unclear() {
        assert!(matches!(judge(200, "<html>hello</html>"), Answer::Unclear(_)));
        assert!(matches!(judge(302, ""), Answer::Unclear(_)));
        let mut gzip = HeaderMap::new();
        gzip.insert(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
        assert!(matches!(classify(StatusCode::BAD_REQUEST, &gzip, b"\x1f\x8b"), Answer::Unclear(_)));
    }
}
