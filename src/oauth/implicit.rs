//! The implicit grant with a user name and a password in the query: `GET /oauth/authorize?response_type=token&…`,
//! which some servers take without a login page (RFC 6749 section 4.2, and no RFC for the rest).

use super::{
    RequestFault, decoding, form,
    request::{Parameter, check, encode_form},
};
use crate::types::fold;

/// Such a request, when every parser reads it alike.
#[derive(Debug)]
pub struct ImplicitRequest(Vec<Parameter>);

/// The response types that such a request may ask for: all of them issue a token at once. A code would be
/// exchanged for one later, when nobody knows any more how it came about.
const RESPONSE_TYPES: [&str; 3] = ["token", "id_token token", "token id_token"];

impl ImplicitRequest {
    /// Whether any server may take this query for such a request. It errs towards yes.
    pub fn is_meant_by(query: &str) -> bool {
        // Most queries are told apart by their letters; an escape may stand for any.
        if query.is_ascii() && !query.contains('%') && !says_response(query) {
            return false;
        }
        let Some(names) = query.split(['&', ';']).map(loosely).collect::<Option<Vec<String>>>() else {
            return true; // encodings of encodings of encodings: no innocent query
        };
        let has = |wanted: &str| names.iter().any(|name| *name == fold::coarse(wanted));
        has("response_type") && (has("password") || has("username"))
    }

    /// Parses the query strictly. Whoever sends a password must send a user name and ask for a token.
    pub fn parse(query: &str) -> Result<Self, RequestFault> {
        let request = Self(form::parse(query)?);
        check(&request.0, &[])?;
        for name in ["username", "password"] {
            if request.value(name).unwrap_or_default().is_empty() {
                return Err(RequestFault::parameter(name, "is required beside the other"));
            }
        }
        if !RESPONSE_TYPES.contains(&request.value("response_type").unwrap_or_default()) {
            return Err(RequestFault::parameter("response_type", "must be 'token' where a password is sent"));
        }
        Ok(request)
    }

    /// The user name, as typed.
    pub fn username(&self) -> &str {
        self.value("username").unwrap_or_default()
    }

    /// The client, which is public (RFC 6749 section 4.2.1).
    pub fn client_id(&self) -> Option<&str> {
        self.value("client_id")
    }

    /// The scopes that are asked for.
    pub fn scope(&self) -> Option<&str> {
        self.value("scope")
    }

    /// The `state`, which answers about the second factor echo.
    pub fn state(&self) -> Option<&str> {
        self.value("state")
    }

    /// The query, encoded anew.
    pub fn encode(&self) -> String {
        encode_form(&self.0)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|p| p.name == name).map(|p| p.value.expose().as_str())
    }
}

/// Whether a text without escapes has the word that such a query must have.
fn says_response(query: &str) -> bool {
    const WORD: &[u8] = b"response";
    query.as_bytes().windows(WORD.len()).any(|window| window.eq_ignore_ascii_case(WORD))
}

/// A name as the sloppiest server reads it: decoded to the end, cut at NUL and at `[…]`, folded, and with `_` for
/// whatever separates words. `None` when decoding does not come to an end.
fn loosely(pair: &str) -> Option<String> {
    let name = pair.split('=').next().unwrap_or_default();
    let decoded = decoding::to_fixpoint(name.replace('+', " ").as_bytes())?;
    let text = String::from_utf8_lossy(&decoded);
    let text = text.trim_start_matches([' ', '?']).split('\0').next().unwrap_or_default();
    // `response_type[]` and `response_type[x]`; PHP takes an unclosed bracket for `_`.
    let cut = text.find('[').filter(|at| text[*at..].contains(']')).map_or(text, |at| &text[..at]);
    let words = |c: char| if c.is_ascii_punctuation() || c.is_whitespace() { '_' } else { c };
    Some(fold::coarse(&cut.chars().map(words).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_query_is_seen_however_it_is_spelled() {
        for query in [
            "response_type=token&client_id=x&username=alice&password=p",
            "username=alice&password=p&response_type=code",
            "response%5Ftype=token&%70assword=p",
            "response%255Ftype=token&%2570assword=p",
            "response.type=token&password[]=p",
            "RESPONSE_TYPE=token&PassWord=p",
            "+response_type=token;+password=p",
            "response[type=token&password%00x=p",
            "?response_type=token&username=alice",
            "response%u005ftype=token&%u0070assword=p",
            "response%EF%BC%BFtype=token&p%EF%BD%81ssword=p",
            "\u{FF32}esponse_type=token&password=p",
            "%25252525252525252525252525252525=x",
        ] {
            assert!(ImplicitRequest::is_meant_by(query), "{query}");
        }
        for query in [
            "",
            "response_type=token&client_id=x&redirect_uri=https%3A%2F%2Fa%2Fcb&state=password",
            "username=alice&password=p",
            "q=response_type%3Dtoken%26password%3Dx",
            "page=2",
        ] {
            assert!(!ImplicitRequest::is_meant_by(query), "{query}");
        }
    }

    #[test]
    fn it_is_parsed_strictly_and_encoded_anew() {
        let parse = ImplicitRequest::parse;
        let parsed =
            parse("response_type=token&client_id=c&username=al%69ce&password=p%20+%26&state=s&").unwrap();
        assert_eq!((parsed.username(), parsed.client_id(), parsed.state()), ("alice", Some("c"), Some("s")));
        assert_eq!(parsed.encode(), "response_type=token&client_id=c&username=alice&password=p++%26&state=s");
        for query in [
            "response_type=token&username=alice",
            "response_type=token&username=&password=p",
            "response_type=code&username=alice&password=p",
            "response_type=code+token&username=alice&password=p",
            "response_type=token&username=alice&username=bob&password=p",
            "response.type=token&username=alice&password=p",
            "response_type=token&username[]=alice&password=p",
            "response_type=token&username=alice&password=p&q=x%00",
            "Response_Type=token&username=alice&password=p",
        ] {
            assert!(parse(query).is_err(), "{query}");
        }
    }
}
