//! What an upstream's answer to a token request is: a token, a refusal, or unclear.
//!
//! The rule: an answer is a token when its body has a member that says so, whatever its status; it is a
//! refusal only when it certainly holds none; and what is neither is unclear, which never clears anything
//! and counts against nobody.

use std::fmt;

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LOCATION, LOCATION, REFRESH},
};
use memchr::memmem;
use percent_encoding::percent_decode;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

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
    // As a text, and not piece by piece: what is UTF-8 need not be asked for each member.
    let text = std::str::from_utf8(body).ok();
    let json = text.and_then(|text| serde_json::from_str::<Document>(text).ok());
    if json.is_some_and(|document| document.holds_credentials) {
        return Answer::Token;
    }
    if status.is_client_error() || status.is_server_error() {
        // JSON was searched member by member: a mention is a value, as a refusal repeats what was sent
        // (`Check the 'access_token' scope`), and whoever sends it need not know a password.
        return match json {
            None if mentions(body) => Answer::Unclear("it is an error that mentions a token and is not JSON"),
            None if may_mention(body) => {
                Answer::Unclear("it is an error in what is nearly JSON, with escapes")
            }
            _ => Answer::Refusal,
        };
    }
    // Some servers refuse with a 200 (RFC 6749 section 5.2 wants a 400): the body says so.
    // An empty one is a wrapper's way to say that all is well.
    let json = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let error = json.as_ref().and_then(|json| json.get("error")?.as_str());
    if error.is_some_and(|error| !says_that_all_is_well(error)) {
        return Answer::Refusal;
    }
    if mentions(body) {
        return Answer::Token;
    }
    Answer::Unclear("it is neither an error nor a token answer in JSON")
}

/// Judges an answer of the authorization endpoint to a request that brought a password (RFC 6749 section 4.2).
///
/// It redirects, or shows a page; a token in either is named.
pub fn classify_redirect(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answer {
    let decoded = |value: &HeaderValue| percent_decode(value.as_bytes()).collect::<Vec<u8>>();
    let redirects = [LOCATION, REFRESH, CONTENT_LOCATION];
    if redirects.iter().flat_map(|name| headers.get_all(name)).any(|value| mentions(&decoded(value))) {
        return Answer::Token;
    }
    match classify(status, headers, body) {
        Answer::Unclear(_) if headers.get(CONTENT_ENCODING).is_none() && !mentions(body) => Answer::Refusal,
        other => other,
    }
}

/// What wrappers put where others have the code of an error.
fn says_that_all_is_well(error: &str) -> bool {
    let words = ["", "0", "none", "no", "null", "false", "ok", "success"];
    words.iter().any(|word| error.trim().eq_ignore_ascii_case(word))
}

/// Whether one of the members is named anywhere.
fn mentions(text: &[u8]) -> bool {
    CREDENTIALS.iter().any(|name| memmem::find(text, name.as_bytes()).is_some())
}

/// Whether what is not JSON may be for somebody who reads it less strictly, and then hold a name that is not seen in
/// it: with escapes, or in UTF-16.
fn may_mention(text: &[u8]) -> bool {
    let without_mark = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let is_nearly_json = matches!(without_mark.trim_ascii_start(), [b'{' | b'[', ..]);
    text.contains(&0) || is_nearly_json && memmem::find(text, b"\\u").is_some()
}

/// A JSON document, of which nothing is kept: most answers are read for this alone.
#[derive(Clone, Copy)]
struct Document {
    /// At any depth, escaped names (`\u0061ccess_token`) included.
    holds_credentials: bool,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let holds_credentials = deserializer.deserialize_any(Search)?;
        Ok(Self { holds_credentials })
    }
}

/// Looks into values for members that carry credentials.
struct Search;

impl<'de> Visitor<'de> for Search {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<bool, A::Error> {
        let mut holds = false;
        while let Some(document) = values.next_element::<Document>()? {
            holds |= document.holds_credentials;
        }
        Ok(holds)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let mut holds = false;
        while let Some(Name { is_of_credential }) = members.next_key()? {
            holds |= is_of_credential | members.next_value::<Document>()?.holds_credentials;
        }
        Ok(holds)
    }
}

/// The name of a member.
struct Name {
    is_of_credential: bool,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IsOfCredential;

        impl Visitor<'_> for IsOfCredential {
            type Value = bool;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<bool, E> {
                Ok(CREDENTIALS.iter().any(|known| known.eq_ignore_ascii_case(name)))
            }
        }

        let is_of_credential = deserializer.deserialize_str(IsOfCredential)?;
        Ok(Self { is_of_credential })
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
        // Which of two members counts is not ours to guess.
        assert_eq!(judge(400, r#"{"data":{"access_token":"x"},"data":null}"#), Answer::Token);
        assert_eq!(judge(400, r#"[1,-1,1.5,null,true,"x",[],{},{"a":{"refresh_token":""}}]"#), Answer::Token);
    }

    #[test]
    fn an_empty_error_is_a_wrappers_success() {
        let wrapped = r#"{"error":"","result":"{\"access_token\":\"x\"}"}"#;
        assert_eq!(judge(200, wrapped), Answer::Token);
        assert!(matches!(judge(200, r#"{"error":" ","result":{}}"#), Answer::Unclear(_)));
        assert_eq!(judge(200, r#"{"error":"none","result":"{\"access_token\":\"x\"}"}"#), Answer::Token);
        assert_eq!(judge(200, r#"{"error":"0","data":"access_token=x"}"#), Answer::Token);
        assert_eq!(judge(400, r#"{"Access_Token":"x"}"#), Answer::Token);
    }

    #[test]
    fn an_error_is_a_refusal() {
        assert_eq!(judge(400, r#"{"error":"invalid_grant"}"#), Answer::Refusal);
        assert_eq!(judge(403, ""), Answer::Refusal);
        assert_eq!(judge(500, "<html>oops</html>"), Answer::Refusal);
        assert_eq!(judge(200, r#"{"error":"invalid_grant"}"#), Answer::Refusal);
    }

    #[test]
    fn a_refusal_that_repeats_what_was_sent_is_no_token() {
        for name in CREDENTIALS {
            let hint = format!(r#"{{"error":"invalid_scope","hint":"Check the `{name}` scope"}}"#);
            assert_eq!(judge(400, &hint), Answer::Refusal);
            assert_eq!(judge(200, &hint), Answer::Refusal);
            assert!(matches!(judge(500, &format!("<html>{name}</html>")), Answer::Unclear(_)));
        }
    }

    #[test]
    fn a_success_that_mentions_a_token_is_a_token_even_if_it_is_not_json() {
        assert_eq!(judge(200, "access_token=x&expires=3600"), Answer::Token);
        assert_eq!(judge(200, r#"{"data":"{\"access_token\":\"x\"}"}"#), Answer::Token);
        assert!(matches!(judge(200, r#"{"error":null,"token":"x"}"#), Answer::Unclear(_)));
    }

    #[test]
    fn a_redirect_is_a_token_if_one_is_in_it() {
        let judge = |status: u16, location: Option<&'static str>, body: &str| {
            let target = location.map(|target| (LOCATION, HeaderValue::from_static(target)));
            classify_redirect(
                StatusCode::from_u16(status).unwrap(),
                &target.into_iter().collect(),
                body.as_bytes(),
            )
        };
        assert_eq!(judge(302, Some("https://a/cb#access_token=x"), ""), Answer::Token);
        assert_eq!(judge(302, Some("https://a/cb#access%5Ftoken=x"), ""), Answer::Token);
        assert_eq!(judge(200, None, "<script>location='#access_token=x'</script>"), Answer::Token);
        assert_eq!(judge(200, None, r#"{"access_token":"x"}"#), Answer::Token);
        assert_eq!(judge(302, Some("https://a/cb#error=access_denied"), ""), Answer::Refusal);
        assert_eq!(judge(200, None, "<form>Please log in</form>"), Answer::Refusal);
        assert!(matches!(judge(401, None, "the access_token …"), Answer::Unclear(_)));
    }

    #[test]
    fn what_cannot_be_read_is_unclear() {
        assert!(matches!(judge(200, "<html>hello</html>"), Answer::Unclear(_)));
        for text in [
            r#"{"\u0061ccess_token":"x\ud800"}"#,
            r#" [{"\u0069d_token":"x"},]"#,
            "{\0\"\0a\0",
            "\u{feff}{\"\\u0069d_token\":1}",
        ] {
            assert!(matches!(judge(400, text), Answer::Unclear(_)), "{text}");
        }
        assert_eq!(judge(400, r#"<script>"\u003c"</script>"#), Answer::Refusal);
        assert!(matches!(judge(302, ""), Answer::Unclear(_)));
        assert!(matches!(
            classify(StatusCode::OK, &HeaderMap::new(), b"{\"error\":\"\xff\"}"),
            Answer::Unclear(_)
        ));
        let mut gzip = HeaderMap::new();
        gzip.insert(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
        assert!(matches!(classify(StatusCode::BAD_REQUEST, &gzip, b"\x1f\x8b"), Answer::Unclear(_)));
    }
}
