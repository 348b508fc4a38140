//! Whether a token request names its client at all (RFC 6749 section 2.3). Whether it is the right one is for
//! the upstream to say.

use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use super::{RequestFault, TokenRequest, media_type::is_token};

const NAME: &str = "Authorization";

impl TokenRequest {
    /// Whether there is a client in the `Authorization` header, a `client_id` or a `client_assertion`
    /// (RFC 7521 section 4.2). A header that two servers could read differently is a fault.
    pub fn names_client(&self, headers: &HeaderMap) -> Result<bool, RequestFault> {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let line = lines.next();
        if lines.next().is_some() {
            return Err(RequestFault::header(NAME, "must appear only once"));
        }
        let in_header = line.map(authorises).transpose()?.unwrap_or(false);
        let in_body = || ["client_id", "client_assertion"].iter().any(|name| self.has_value(name));
        Ok(in_header || in_body())
    }

    /// The client that the request names, if it names one and only one: in HTTP Basic, or in the body.
    pub fn client(&self, headers: &HeaderMap) -> Option<String> {
        let in_body = self.client_id().filter(|id| !id.is_empty());
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let Some(line) = lines.next() else { return in_body.map(str::to_owned) };
        let credentials = line.to_str().ok().and_then(|line| line.split_once(' '));
        let (scheme, credentials) = credentials.filter(|_| lines.next().is_none())?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let (id, _) = basic(credentials)?;
        // Both parts are encoded as in a form (RFC 6749 section 2.3.1), by clients that go by it: an identifier that
        // would be another one then is not known.
        let is_plain = !id.is_empty() && !id.contains(['%', '+']);
        (is_plain && in_body.is_none_or(|other| other == id)).then_some(id)
    }
}

/// The two parts of HTTP Basic's credentials.
fn basic(credentials: &str) -> Option<(String, String)> {
    let decoded = BASE64.decode(credentials.as_bytes()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (id, secret) = text.split_once(':')?;
    let is_plain = !id.chars().chain(secret.chars()).any(char::is_control);
    is_plain.then(|| (id.to_owned(), secret.to_owned()))
}

/// A scheme, one space and credentials (RFC 9110 section 11.4). `Basic` must be whole (RFC 7617 section 2); its
/// client may not be empty, its secret may.
fn authorises(line: &HeaderValue) -> Result<bool, RequestFault> {
    let malformed = || RequestFault::header(NAME, "must be a scheme, one space and credentials");
    let (scheme, credentials) = line.to_str().ok().and_then(|l| l.split_once(' ')).ok_or_else(malformed)?;
    let is_graphic = credentials.split([' ', '\t']).all(|word| word.bytes().all(|b| b.is_ascii_graphic()));
    if !is_token(scheme) || credentials.trim() != credentials || credentials.is_empty() || !is_graphic {
        return Err(malformed());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(true);
    }
    match basic(credentials) {
        Some((id, _)) => Ok(!id.is_empty()),
        None => Err(RequestFault::header(NAME, "must have base64 of CLIENT:SECRET after 'Basic'")),
    }
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;
    use crate::oauth::RequestRules;

    fn names_client(authorization: &[&'static str], body: &str) -> Result<bool, String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        for value in authorization {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        let body = format!("grant_type=password{body}");
        let request = TokenRequest::parse(RequestRules::default(), &headers, None, body.as_bytes()).unwrap();
        request.names_client(&headers).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_client_may_be_named_in_three_places() {
        for (authorization, body) in [
            (&["Basic Y2xpOnNlY3JldA=="][..], ""),
            (&["basic cGxhdGZvcm0tY2xpOg=="], ""),
            (&["Bearer abc.def"], ""),
            (&["DPoP abc"], ""),
            (&["Digest username=\"cli\", realm=\"x\""], ""),
            (&[], "&client_id=cli"),
            (&[], "&client_assertion=eyJ"),
            (&["Basic Og=="], "&client_id=cli"),
        ] {
            assert_eq!(names_client(authorization, body), Ok(true), "{authorization:?} {body}");
        }
    }

    #[test]
    fn a_client_is_known_where_every_reader_would_read_the_same() {
        for (authorization, body, expected) in [
            (&["Basic Y2xpOnNlY3JldA=="][..], "", Some("cli")),
            (&["Basic Y2xpOnNlY3JldA=="], "&client_id=cli", Some("cli")),
            (&["Basic Y2xpOnNlY3JldA=="], "&client_id=other", None),
            (&[], "&client_id=cli", Some("cli")),
            (&[], "", None),
            (&["Basic Og=="], "&client_id=cli", None),
            (&["Bearer abc"], "&client_id=cli", None),
            (&["Basic Y2xpOg==", "Basic Y2xpOg=="], "", None),
            (&["Basic YSVjOng="], "", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            for value in authorization {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            let body = format!("grant_type=password{body}");
            let request =
                TokenRequest::parse(RequestRules::default(), &headers, None, body.as_bytes()).unwrap();
            assert_eq!(request.client(&headers).as_deref(), expected, "{authorization:?} {body}");
        }
    }

    #[test]
    fn nobody_is_no_client() {
        for (authorization, body) in [
            (&[][..], ""),
            (&[], "&client_id="),
            (&[], "&client_secret=x&client_assertion="),
            (&["Basic Og=="], ""),
        ] {
            assert_eq!(names_client(authorization, body), Ok(false), "{authorization:?} {body}");
        }
    }

    #[test]
    fn half_an_authorization_is_refused_even_beside_a_client_id() {
        for authorization in [
            "",
            "Basic",
            "Basic ",
            "Basic  Y2xpOg==",
            "Basic Y2xp",
            "Basic Y2xpOg",
            "Basic Y2xp Og==",
            "Basic Y2xpOg==, Basic Y2xpOg==",
            "Basic //79Og==",
            "Basic Y2xpAAo6",
            "Y2xpOg==",
            "Ba(sic Y2xpOg==",
            "Bearer",
        ] {
            let said = names_client(&[authorization], "&client_id=cli").unwrap_err();
            assert!(said.starts_with("header 'Authorization' must"), "{authorization:?}: {said}");
        }
        let twice = names_client(&["Basic Y2xpOg==", "Basic Y2xpOg=="], "").unwrap_err();
        assert!(twice.contains("only once"), "{twice}");
    }
}
