//! A token request (RFC 6749 section 4), parsed and checked.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::{RequestFault, form, json, media_type};
use crate::types::Secret;

/// How a token request's body is encoded, and how it is encoded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-www-form-urlencoded`, what RFC 6749 prescribes.
    Form,
    /// `application/json`, what oauth2-server-php and its descendants take as well.
    Json,
}

/// One parameter. Any of them may be a credential.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) value: Secret<String>,
}

/// The grant that a request asks for.
#[derive(Debug)]
pub enum Grant<'a> {
    /// RFC 6749 section 4.3: gated.
    Password(PasswordGrant<'a>),
    /// Any other.
    Other,
}

/// What a password grant claims.
#[derive(Debug)]
pub struct PasswordGrant<'a> {
    /// The user name, as typed.
    pub username: &'a str,
}

/// A token request that every parser reads alike.
#[derive(Debug)]
pub struct TokenRequest {
    encoding: Encoding,
    body: Vec<Parameter>,
    query: Vec<Parameter>,
}

/// Parameters that speak the protocol or steer a framework: spelled exactly so, and never in the query.
const PROTOCOL: [&str; 21] = [
    "grant_type",
    "username",
    "password",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "assertion",
    "scope",
    "code",
    "code_verifier",
    "redirect_uri",
    "refresh_token",
    "access_token",
    "token",
    "device_code",
    "response_type",
    "q",
    "_method",
    "method",
    "x_http_method_override",
];

impl TokenRequest {
    /// Parses the request at the token endpoint. `query` is what follows the `?`.
    pub fn parse(headers: &HeaderMap, query: Option<&str>, body: &[u8]) -> Result<Self, RequestFault> {
        let encoding = media_type::encoding(headers)?;
        let text = std::str::from_utf8(body).map_err(|_| RequestFault::body("must be UTF-8"))?;
        // Some clients count a line end after the body in its length.
        let text = text.strip_suffix('\n').map_or(text, |t| t.strip_suffix('\r').unwrap_or(t));
        let body = match encoding {
            Encoding::Form => form::parse(text)?,
            Encoding::Json => json::parse(text)?,
        };
        let query = form::parse(query.unwrap_or_default())?;
        check(&body, &query)?;
        let request = Self { encoding, body, query };
        request.check_grant_type()?;
        Ok(request)
    }

    /// The `grant_type` that is asked for.
    pub fn grant_type(&self) -> &str {
        self.parameter("grant_type").unwrap_or_default()
    }

    /// The client that names itself in the body (RFC 6749 section 2.3.1).
    pub fn client_id(&self) -> Option<&str> {
        self.parameter("client_id")
    }

    /// That client's password. It is a secret.
    pub fn client_secret(&self) -> Option<&str> {
        self.parameter("client_secret")
    }

    /// The grant that is asked for, with what a password grant must have (RFC 6749 section 4.3.2).
    pub fn grant(&self) -> Result<Grant<'_>, RequestFault> {
        if self.grant_type() != "password" {
            return Ok(Grant::Other);
        }
        let required =
            |name| self.parameter(name).ok_or_else(|| RequestFault::parameter(name, "is required"));
        let username = required("username")?;
        required("password")?;
        Ok(Grant::Password(PasswordGrant { username }))
    }

    /// The `state` of the form or the query, which answers about the second factor echo.
    pub fn state(&self) -> Option<&str> {
        let all = self.body.iter().chain(&self.query);
        all.into_iter().find(|p| p.name == "state").map(|p| p.value.expose().as_str())
    }

    /// The media type of [`TokenRequest::encode_body`].
    pub const fn content_type(&self) -> HeaderValue {
        match self.encoding {
            Encoding::Form => HeaderValue::from_static("application/x-www-form-urlencoded"),
            Encoding::Json => HeaderValue::from_static("application/json"),
        }
    }

    /// The body, encoded anew: the same parameters with the same values, in the same order.
    pub fn encode_body(&self) -> Bytes {
        match self.encoding {
            Encoding::Form => encode_form(&self.body).into(),
            Encoding::Json => encode_json(&self.body),
        }
    }

    /// What is left of the query, encoded anew, if anything.
    pub fn encode_query(&self) -> Option<String> {
        (!self.query.is_empty()).then(|| encode_form(&self.query))
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.body.iter().find(|p| p.name == name).map(|p| p.value.expose().as_str())
    }

    fn check_grant_type(&self) -> Result<(), RequestFault> {
        let fault = |rule| Err(RequestFault::parameter("grant_type", rule));
        let Some(grant_type) = self.parameter("grant_type") else { return fault("is required") };
        // RFC 6749 appendix A.10: a name, or an absolute URI.
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:/".contains(&b);
        if grant_type.is_empty() || !grant_type.bytes().all(allowed) {
            return fault("must be a grant name or URI (RFC 6749 appendix A.10)");
        }
        if grant_type != "password" && grant_type.eq_ignore_ascii_case("password") {
            return fault("must be spelled 'password' for that grant");
        }
        Ok(())
    }
}

/// The form that names are compared in: other servers fold case, or take `-` for `_`.
fn canonical(name: &str) -> String {
    name.bytes().map(|b| if b == b'-' { '_' } else { char::from(b.to_ascii_lowercase()) }).collect()
}

fn check(body: &[Parameter], query: &[Parameter]) -> Result<(), RequestFault> {
    let mut seen: Vec<String> = Vec::with_capacity(body.len() + query.len());
    for (parameter, in_query) in body.iter().map(|p| (p, false)).chain(query.iter().map(|p| (p, true))) {
        let fault = |rule| Err(RequestFault::parameter(&parameter.name, rule));
        let name = parameter.name.as_str();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return fault("must have a name of letters, digits, '_' and '-' only");
        }
        let canonical = canonical(name);
        if PROTOCOL.contains(&canonical.as_str()) {
            if in_query {
                return fault("must not be in the query");
            }
            if canonical != name {
                return fault("must be spelled in lower case with '_'");
            }
        }
        if seen.contains(&canonical) {
            return fault("must appear only once");
        }
        if parameter.value.expose().chars().any(char::is_control) {
            return fault("must not contain control characters");
        }
        seen.push(canonical);
    }
    Ok(())
}

fn encode_form(parameters: &[Parameter]) -> String {
    let mut serializer = form_urlencoded::Serializer::new(String::with_capacity(128));
    for parameter in parameters {
        serializer.append_pair(&parameter.name, parameter.value.expose());
    }
    serializer.finish()
}

fn encode_json(parameters: &[Parameter]) -> Bytes {
    let mut json = Zeroizing::new(String::with_capacity(128));
    json.push('{');
    for (index, parameter) in parameters.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        json.push_str(&serde_json::Value::from(parameter.name.as_str()).to_string());
        json.push(':');
        json.push_str(&serde_json::Value::from(parameter.value.expose().as_str()).to_string());
    }
    json.push('}');
    Bytes::copy_from_slice(json.as_bytes())
}

#[cfg(test)]
mod tests;
