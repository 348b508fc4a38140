//! The tokens in an answer that issues some.

use http::{
    HeaderMap,
    header::{CONTENT_LOCATION, LOCATION, REFRESH},
};
use serde_json::Value;

use crate::types::Secret;

/// What an upstream issued (RFC 6749 sections 4.2.2 and 5.1).
#[derive(Debug, Clone, Default)]
pub struct IssuedTokens {
    /// The access token, if it stands where it should.
    pub access_token: Option<Secret<String>>,
    /// The refresh token, if there is one.
    pub refresh_token: Option<Secret<String>>,
    /// The scopes, if the answer names them.
    pub scope: Option<String>,
}

impl IssuedTokens {
    /// Reads a token answer: the members of its JSON, at any depth, as it is judged, or else the parameters of the
    /// fragment that it redirects to, or of its body as a form.
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        if let Ok(json) = serde_json::from_slice(body) {
            return Self {
                access_token: member(&json, "access_token"),
                refresh_token: member(&json, "refresh_token"),
                scope: member(&json, "scope").map(|scope| scope.expose().clone()),
            };
        }
        // Where a redirect names its target: in any of the fields in which it is looked for when it is judged.
        let targets = [LOCATION, REFRESH, CONTENT_LOCATION];
        let mut targets = targets.iter().filter_map(|name| headers.get(name)?.to_str().ok());
        let parameters = targets.find_map(|target| {
            let (_, parameters) = target.split_once('#').or_else(|| target.split_once('?'))?;
            Some(parameters.trim_end_matches('"'))
        });
        let form = parameters.map_or(body, str::as_bytes);
        let find = |wanted: &str| {
            form_urlencoded::parse(form)
                .find(|(name, value)| name == wanted && !value.is_empty())
                .map(|(_, value)| Secret::new(value.into_owned()))
        };
        Self {
            access_token: find("access_token"),
            refresh_token: find("refresh_token"),
            scope: find("scope").map(|scope| scope.expose().clone()),
        }
    }
}

/// The first text of that name.
fn member(value: &Value, name: &str) -> Option<Secret<String>> {
    match value {
        Value::Object(members) => match members.get(name) {
            Some(Value::String(token)) if !token.is_empty() => Some(Secret::new(token.clone())),
            _ => members.values().find_map(|value| member(value, name)),
        },
        Value::Array(values) => values.iter().find_map(|value| member(value, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(location: Option<&'static str>, body: &str) -> (Option<String>, Option<String>) {
        let headers =
            location.map(|target| (LOCATION, HeaderValue::from_static(target))).into_iter().collect();
        let issued = IssuedTokens::read(&headers, body.as_bytes());
        let plain = |token: Option<Secret<String>>| token.map(|token| token.expose().clone());
        (plain(issued.access_token), plain(issued.refresh_token))
    }

    #[test]
    fn tokens_are_read_from_json_and_from_fragments() {
        let both = (Some("a".to_owned()), Some("r".to_owned()));
        assert_eq!(read(None, r#"{"\u0061ccess_token":"a","refresh_token":"r"}"#), both);
        assert_eq!(read(None, r#"{"data":[{"access_token":"a"}],"refresh_token":"r"}"#), both);
        assert_eq!(read(None, r#"{"access_token":1,"refresh_token":""}"#), (None, None));
        let redirect = Some("https://a/cb#state=x&access_token=a%2Fb&expires_in=1");
        assert_eq!(read(redirect, ""), (Some("a/b".to_owned()), None));
        let mut headers = HeaderMap::new();
        headers.insert(REFRESH, HeaderValue::from_static("0; url=\"https://a/cb?x=y#access_token=a\""));
        let refreshed =
            IssuedTokens::read(&headers, b"<html>").access_token.map(|token| token.expose().clone());
        assert_eq!(refreshed.as_deref(), Some("a"));
        assert_eq!(read(None, "access_token=a&expires=3600&refresh_token=r"), both);
        assert_eq!(read(None, "<html>access_token=a"), (None, None));
    }
}
