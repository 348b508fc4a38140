//! Where something is asked of the upstream, or of a server beside it.

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::UpstreamUrl;
use crate::types::Secret;

/// What stands in a URL for the token.
const TOKEN: &str = "{token}";
/// All but the unreserved characters (RFC 3986 section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path on the upstream, or a whole URL, which may hold a place for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointUrl {
    origin: Option<UpstreamUrl>,
    path: String,
}

impl EndpointUrl {
    /// `None` unless it is a path such as `/oauth2/introspect`, or an `http://` or `https://` URL, without a
    /// fragment or a user name.
    pub fn parse(text: &str) -> Option<Self> {
        let (origin, path) = if text.starts_with('/') {
            (None, text)
        } else {
            let host = text.find("://")? + 3;
            let path = text[host..].find('/').map(|at| host + at)?;
            (Some(UpstreamUrl::parse(&text[..path]).ok()?), &text[path..])
        };
        let is_plain = path.bytes().all(|b| b.is_ascii_graphic() && !b"#\\\"<>^`|".contains(&b));
        let without_place = path.replacen(TOKEN, "", 1);
        let endpoint = Self { origin, path: path.to_owned() };
        let is_whole = is_plain && !path.starts_with("//") && !without_place.contains(['{', '}']);
        (is_whole && endpoint.target("x").is_some()).then_some(endpoint)
    }

    /// The server, unless it is the upstream.
    pub const fn origin(&self) -> Option<&UpstreamUrl> {
        self.origin.as_ref()
    }

    /// Whether it holds a place for a token.
    pub fn has_place_for_token(&self) -> bool {
        self.path.contains(TOKEN)
    }

    /// The whole URL, with the token in its place, if it has one. It is as secret as the token.
    pub(super) fn absolute(&self, upstream: &UpstreamUrl, token: &str) -> Secret<String> {
        let server = self.origin.as_ref().unwrap_or(upstream);
        let encoded = Zeroizing::new(utf8_percent_encode(token, ENCODED).to_string());
        Secret::new(format!("{}{}", server.origin(), self.path.replacen(TOKEN, &encoded, 1)))
    }

    /// As it was configured, on the upstream or elsewhere.
    pub(super) fn shown(&self, upstream: &UpstreamUrl) -> String {
        format!("{}{}", self.origin.as_ref().unwrap_or(upstream), self.path)
    }

    /// The request target, with the token in its place, if it has one.
    pub fn target(&self, token: &str) -> Option<Uri> {
        if !self.has_place_for_token() {
            return self.path.parse().ok();
        }
        let encoded = utf8_percent_encode(token, ENCODED).to_string();
        self.path.replacen(TOKEN, &encoded, 1).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls_are_told_apart() {
        let path = EndpointUrl::parse("/oauth2/tokens/{token}").unwrap();
        assert!(path.origin().is_none() && path.has_place_for_token());
        assert_eq!(path.target("a/b?c").unwrap(), "/oauth2/tokens/a%2Fb%3Fc");
        let url = EndpointUrl::parse("https://auth.example:8443/introspect?x=1").unwrap();
        assert_eq!(url.origin().unwrap().to_string(), "https://auth.example:8443");
        assert_eq!(url.target("t").unwrap(), "/introspect?x=1");
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            "oauth2/introspect",
            "//evil.example/x",
            "https://a",
            "ftp://a/b",
            "http://u:p@a/b",
            "/a#b",
            "/a b",
            "/{tok}",
            "/{token}/{token}",
            "http://{token}.example/x",
            "/a\\b",
        ] {
            assert_eq!(EndpointUrl::parse(text), None, "{text}");
        }
    }
}
