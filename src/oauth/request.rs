//! A token request (RFC 6749 section 4), parsed and checked.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::{
    RequestFault, RequestRules, form, json,
    media_type::{self, MediaType},
    multipart,
};
use crate::types::{Secret, limits::TOKEN_REQUEST_PARAMETERS_MAX};

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

/// A token request that every parser reads alike.
#[derive(Debug)]
pub struct TokenRequest {
    /// How it goes upstream.
    encoding: Encoding,
    body: Vec<Parameter>,
    query: Vec<Parameter>,
}

/// Bytes of a name. PHP with Suhosin drops longer ones.
const NAME_BYTES_MAX: usize = 64;

/// Parameters that speak the protocol or steer a framework: spelled exactly so, and never in the query.
const PROTOCOL: [&str; 24] = [
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
    "subject_token",
    "actor_token",
    "auth_req_id",
    "device_code",
    "response_type",
    "q",
    "_method",
    "method",
    "x_http_method_override",
];

impl TokenRequest {
    /// Parses the request at the token endpoint. `query` is what follows the `?`.
    pub fn parse(
        rules: RequestRules,
        headers: &HeaderMap,
        query: Option<&str>,
        body: &[u8],
    ) -> Result<Self, RequestFault> {
        let (received, body) = match media_type::read(headers, rules.multipart)? {
            MediaType::Form => (Encoding::Form, form::parse(text(body)?)?),
            MediaType::Json => (Encoding::Json, json::parse(text(body)?)?),
            MediaType::Multipart { boundary } => (Encoding::Form, multipart::parse(body, &boundary)?),
        };
        let encoding = rules.forward_as.encoding(received);
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

    /// The refresh token that is presented (RFC 6749 section 6). It is a secret.
    pub fn refresh_token(&self) -> Result<&str, RequestFault> {
        self.required("refresh_token")
    }

    /// The client that names itself in the body (RFC 6749 section 2.3.1).
    pub fn client_id(&self) -> Option<&str> {
        self.parameter("client_id")
    }

    /// The scopes that are asked for (RFC 6749 section 3.3).
    pub fn scope(&self) -> Option<&str> {
        self.parameter("scope")
    }

    /// That client's password. It is a secret.
    pub fn client_secret(&self) -> Option<&str> {
        self.parameter("client_secret")
    }

    /// Checks that a password grant has what it must have (RFC 6749 section 4.3.2).
    pub fn check_password_grant(&self) -> Result<(), RequestFault> {
        if self.grant_type() == "password" {
            self.required("username")?;
            self.required("password")?;
        }
        Ok(())
    }

    /// The user name, as typed.
    pub fn username(&self) -> Result<&str, RequestFault> {
        self.required("username")
    }

    fn required(&self, name: &str) -> Result<&str, RequestFault> {
        match self.parameter(name) {
            None => Err(RequestFault::parameter(name, "is required")),
            Some("") => Err(RequestFault::parameter(name, "must not be empty")),
            Some(value) => Ok(value),
        }
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

    /// Whether a parameter is there and not empty.
    pub(super) fn has_value(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| !value.is_empty())
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

/// A body as text. Some clients count a line end after it in its length.
fn text(body: &[u8]) -> Result<&str, RequestFault> {
    let text = std::str::from_utf8(body).map_err(|_| RequestFault::body("must be UTF-8"))?;
    Ok(text.strip_suffix('\n').map_or(text, |t| t.strip_suffix('\r').unwrap_or(t)))
}

/// The form that names are compared in: other servers fold case, or take `-` for `_`.
fn canonical(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|b| b != b'-' && !b.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    name.bytes().map(|b| if b == b'-' { '_' } else { char::from(b.to_ascii_lowercase()) }).collect()
}

/// The parameter of the protocol that some server takes a name for, which `folded` is the canonical form of:
/// `Grant-Type`, and `grantType`.
fn spoken(name: &str, folded: &str) -> Option<&'static str> {
    if folded == name {
        return PROTOCOL.into_iter().find(|known| *known == name);
    }
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && snake.ends_with(|last: char| last.is_ascii_lowercase()) {
            snake.push('_');
        }
        // Capitals stay until the end: `ID` is one word.
        snake.push(c);
    }
    let snake = canonical(&snake);
    PROTOCOL.into_iter().find(|known| *known == folded || *known == snake)
}

fn has_unreadable(text: &str) -> bool {
    if text.is_ascii() { text.bytes().any(|b| b.is_ascii_control()) } else { text.chars().any(is_unreadable) }
}

/// Control characters, line separators and what is no character at all: parsers drop them, end at them or
/// replace them.
fn is_unreadable(c: char) -> bool {
    let is_nonchar = matches!(c, '\u{FDD0}'..='\u{FDEF}') || c as u32 & 0xFFFE == 0xFFFE;
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || is_nonchar
}

/// Checks all parameters together: of the body, and of the query.
pub(super) fn check(body: &[Parameter], query: &[Parameter]) -> Result<(), RequestFault> {
    if body.len() + query.len() > TOKEN_REQUEST_PARAMETERS_MAX {
        return Err(RequestFault::too_many_parameters());
    }
    let mut seen: Vec<Cow<'_, str>> = Vec::with_capacity(body.len() + query.len());
    for (parameter, in_query) in body.iter().map(|p| (p, false)).chain(query.iter().map(|p| (p, true))) {
        let fault = |rule| Err(RequestFault::parameter(&parameter.name, rule));
        let name = parameter.name.as_str();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return fault("must have a name of letters, digits, '_' and '-' only");
        }
        if name.len() > NAME_BYTES_MAX {
            return fault("must have a name of at most 64 characters");
        }
        let canonical = canonical(name);
        if let Some(known) = spoken(name, &canonical) {
            if in_query {
                return fault("must not be in the query");
            }
            if known != name {
                return fault("must be spelled in lower case with '_'");
            }
        }
        if canonical == "_charset_" {
            return fault("must not be sent: it would say how to read the others");
        }
        if seen.contains(&canonical) {
            return fault("must appear only once");
        }
        if has_unreadable(parameter.value.expose()) {
            return fault("must not contain control characters");
        }
        seen.push(canonical);
    }
    Ok(())
}

pub(super) fn encode_form(parameters: &[Parameter]) -> String {
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
