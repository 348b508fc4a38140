//! Who calls, and what they may: bearer tokens (RFC 6750) and client certificates.
//!
//! Invariants: of a token only the SHA-256 is known here; it is compared in constant time, with those of all tokens;
//! a request that shows a token has that token's rights, whatever certificate is with it.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use http::{HeaderMap, header::AUTHORIZATION};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::step_up::Actor;

/// What each token of ours begins with, so that scanners of repositories and logs find one that leaked.
const TOKEN_PREFIX: &str = "tfagw_";
/// Random bytes of a token: 256 bits.
const TOKEN_BYTES: usize = 32;
/// Bytes of the shortest token that is looked at: nobody chooses one that long by heart, and 32 random bytes in
/// hexadecimal or Base64 have more.
const PRESENTED_BYTES_MIN: usize = 40;
/// Bytes of the longest one.
const PRESENTED_BYTES_MAX: usize = 512;
/// What [`is_token_name`] asks for.
pub const TOKEN_NAME_RULE: &str = "must be 1 to 64 letters, digits, '-', '_' and '.'";

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// See subjects and the audit trail.
    Read,
    /// Change subjects.
    Write,
}

impl Right {
    /// Its name, in the configuration and as a scope (RFC 6750 section 3).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// Reads [`Right::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Read, Self::Write].into_iter().find(|right| right.as_str() == text)
    }
}

/// Whether a text may name a token, and stand in the audit trail.
pub fn is_token_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// The SHA-256 of a token. A token has 256 random bits, so that its digest tells nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Of a token.
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// As 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

/// A token, as the configuration knows it.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// Who has it; see [`is_token_name`].
    pub name: String,
    /// By which it is known.
    pub digest: TokenDigest,
    /// What it may.
    pub may: Vec<Right>,
}

impl AccessToken {
    /// A new token, to be shown once, and its digest.
    pub fn random() -> Result<(Zeroizing<String>, TokenDigest), getrandom::Error> {
        let mut random = Zeroizing::new([0; TOKEN_BYTES]);
        getrandom::fill(&mut *random)?;
        let text = Zeroizing::new(BASE64URL_NOPAD.encode(&*random));
        let token = Zeroizing::new(format!("{TOKEN_PREFIX}{}", *text));
        let digest = TokenDigest::of(token.as_bytes());
        Ok((token, digest))
    }
}

/// Who calls, once that is known.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// In whose name changes are recorded.
    pub(super) actor: Actor,
    rights: Vec<Right>,
    /// Whether it is a certificate that says so: browsers show theirs without being asked.
    pub(super) is_by_certificate: bool,
}

impl Caller {
    /// Whether it has a right.
    pub(super) fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }
}

/// Why it is not known who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AccessFault {
    #[error("a bearer token is wanted, in one Authorization header")]
    Nothing,
    #[error("there are two Authorization headers")]
    TwoHeaders,
    #[error("the Authorization header must be 'Bearer' and the token")]
    NotBearer,
    #[error("the token is not known")]
    UnknownToken,
}

/// Says who calls. `certificate` is the name in the client certificate, if one was shown that was verified.
pub(super) fn caller(
    headers: &HeaderMap,
    certificate: Option<&str>,
    tokens: &[AccessToken],
) -> Result<Caller, AccessFault> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(AccessFault::TwoHeaders);
    }
    let Some(value) = value else {
        let name = certificate.ok_or(AccessFault::Nothing)?;
        // A token's name has no colon, so that nobody is taken for somebody else.
        let actor = Actor::api(&format!("cert:{name}"));
        return Ok(Caller { actor, rights: vec![Right::Read, Right::Write], is_by_certificate: true });
    };
    let token = bearer(value.as_bytes()).ok_or(AccessFault::NotBearer)?;
    if !(PRESENTED_BYTES_MIN..=PRESENTED_BYTES_MAX).contains(&token.len()) {
        return Err(AccessFault::UnknownToken);
    }
    let presented = TokenDigest::of(token);
    let fits = |known: &&AccessToken| bool::from(known.digest.0.ct_eq(&presented.0));
    // All are compared, whichever fits.
    let known = tokens.iter().filter(fits).fold(None, |first, known| first.or(Some(known)));
    let known = known.ok_or(AccessFault::UnknownToken)?;
    Ok(Caller { actor: Actor::api(&known.name), rights: known.may.clone(), is_by_certificate: false })
}

/// `Bearer b64token` (RFC 6750 section 2.1); the scheme's case does not matter (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii();
    let end = token.iter().rposition(|b| *b != b'=').map_or(0, |last| last + 1);
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(b);
    (scheme.eq_ignore_ascii_case(b"Bearer ") && end > 0 && token[..end].iter().all(is_token)).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_says_who_calls_and_nothing_else_does() {
        let (token, digest) = AccessToken::random().unwrap();
        assert_eq!((token.len(), TokenDigest::parse(&digest.to_hex())), (49, Some(digest)));
        let short = TokenDigest::of(b"short");
        let tokens = [
            AccessToken { name: "other".into(), digest: short, may: vec![Right::Write] },
            AccessToken { name: "desk".into(), digest, may: vec![Right::Read] },
        ];
        let who = |values: &[&str], certificate: Option<&str>| {
            caller(&headers(values), certificate, &tokens)
                .map(|c| (c.actor.as_str().to_owned(), c.may(Right::Read), c.may(Right::Write)))
        };
        let good = format!("Bearer {}", *token);
        let desk = Ok(("api:desk".to_owned(), true, false));
        assert_eq!(who(&[&good], None), desk);
        assert_eq!(who(&[&good.replace("Bearer", "bearer")], Some("root")), desk);
        assert_eq!(who(&[], Some("root")), Ok(("api:cert:root".into(), true, true)));
        assert_eq!(who(&[], None), Err(AccessFault::Nothing));
        assert_eq!(who(&[&good, &good], None), Err(AccessFault::TwoHeaders));
        assert_eq!(who(&[&good.replace("Bearer", "Basic")], Some("root")), Err(AccessFault::NotBearer));
        for wrong in ["Bearer short".to_owned(), format!("{good}x"), format!("{good}=")] {
            assert_eq!(who(&[&wrong], Some("root")), Err(AccessFault::UnknownToken), "{wrong}");
        }
        for wrong in ["Bearer", "Bearer ", "Bearer ==", "Bearer a b", "Bearer,x", ""] {
            assert_eq!(who(&[wrong], None), Err(AccessFault::NotBearer), "{wrong}");
        }
    }
}
