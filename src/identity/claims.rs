//! Whose a token is, where the upstream says so in JSON.

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use super::{UsernameFault, fold_username};
use crate::types::SubjectId;

/// Where the subject stands in a document (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(String);

impl Pointer {
    /// `None` unless it is a pointer to something within a document: `/sub`, `/user/name`.
    pub fn parse(text: &str) -> Option<Self> {
        let escapes_are_whole =
            text.match_indices('~').all(|(at, _)| matches!(text.as_bytes().get(at + 1), Some(b'0' | b'1')));
        (text.len() > 1 && text.starts_with('/') && escapes_are_whole).then(|| Self(text.to_owned()))
    }
}

/// Why a document does not say whose a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimFault {
    /// It is not JSON.
    #[error("it is not JSON")]
    NotJson,
    /// It is no JSON Web Token (RFC 7519).
    #[error("the access token is no JSON Web Token")]
    NotJwt,
    /// The pointer leads nowhere, or to something else than a text or a whole number.
    #[error("it has no text or whole number where the subject should stand")]
    NoSubject,
    /// The text cannot be a subject.
    #[error("the subject that it names {0}")]
    Unusable(#[from] UsernameFault),
}

/// Reads the subject from a document.
pub fn subject_at(document: &Value, pointer: &Pointer) -> Result<SubjectId, ClaimFault> {
    let subject = match document.pointer(&pointer.0) {
        Some(Value::String(text)) => fold_username(text),
        Some(Value::Number(number)) if number.is_u64() => fold_username(&number.to_string()),
        _ => return Err(ClaimFault::NoSubject),
    };
    Ok(subject?)
}

/// Reads the subject from the claims of a signed token (RFC 7519).
///
/// The signature is not looked at: the token comes from its issuer itself, over the connection on which the
/// gateway asked for it (as OpenID Connect Core section 3.1.3.7, rule 6, has it).
pub fn subject_of_jwt(token: &str, pointer: &Pointer) -> Result<SubjectId, ClaimFault> {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(ClaimFault::NotJwt);
    };
    let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).map_err(|_| ClaimFault::NotJwt)?;
    subject_at(&serde_json::from_slice(&claims).map_err(|_| ClaimFault::NotJwt)?, pointer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(document: &Value, pointer: &str) -> Result<String, ClaimFault> {
        subject_at(document, &Pointer::parse(pointer).unwrap()).map(|subject| subject.as_str().to_owned())
    }

    #[test]
    fn a_subject_is_a_text_or_a_whole_number_and_folded() {
        let document = json!({"sub": "ÁLICE ", "user": {"uid": 42, "a/b": "x"}, "n": null, "f": 1.5, "l": ["a"], "e": " "});
        assert_eq!(read(&document, "/sub").unwrap(), "alice");
        assert_eq!(read(&document, "/user/uid").unwrap(), "42");
        assert_eq!(read(&document, "/user/a~1b").unwrap(), "x");
        for nowhere in ["/n", "/f", "/l", "/user", "/none", "/l/1", "/sub/x"] {
            assert_eq!(read(&document, nowhere), Err(ClaimFault::NoSubject), "{nowhere}");
        }
        assert_eq!(read(&document, "/e"), Err(ClaimFault::Unusable(UsernameFault::Empty)));
    }

    #[test]
    fn the_claims_of_a_signed_token_are_read() {
        let token = |claims: &[u8]| format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(claims));
        let sub = Pointer::parse("/sub").unwrap();
        assert_eq!(subject_of_jwt(&token(b"{\"sub\":\"alice\"}"), &sub).unwrap().as_str(), "alice");
        assert_eq!(subject_of_jwt(&token(b"{}"), &sub), Err(ClaimFault::NoSubject));
        for broken in ["", "a.b", "a.b.c.d", "opaque", &token(b"{"), "e30.e30=.x"] {
            assert_eq!(subject_of_jwt(broken, &sub), Err(ClaimFault::NotJwt), "{broken}");
        }
    }

    #[test]
    fn only_pointers_into_a_document_are_taken() {
        for text in ["", "/", "sub", "/a~", "/a~2"] {
            assert_eq!(Pointer::parse(text), None, "{text}");
        }
    }
}
