//! Where and how tokens are revoked, as it is configured.

use http::{Method, Uri, header::HeaderValue, uri::PathAndQuery};

use crate::{types::Secret, upstream::UpstreamUrl};

/// What stands for the token in a URL.
pub(super) const TOKEN_PLACE: &str = "{token}";
/// What is put there to see whether the rest is a URL: nothing that percent-encoding would change.
const TOKEN_SAMPLE: &str = "token";

/// How the upstream is asked to revoke.
#[derive(Debug, Clone)]
pub struct RevocationSettings {
    /// In which words.
    pub style: RevocationStyle,
    /// Where.
    pub endpoint: RevocationEndpoint,
    /// In whose name.
    pub client: RevocationClient,
}

impl std::fmt::Display for RevocationSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let method = match &self.style {
            RevocationStyle::Rfc7009 => "rfc7009, POST",
            RevocationStyle::Request(method) => method.as_str(),
        };
        write!(f, "{method} {}", self.endpoint.url)
    }
}

/// In which words the upstream is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationStyle {
    /// `POST` with `token` and `token_type_hint` (RFC 7009 section 2.1).
    Rfc7009,
    /// A request of the site's own, with the token in its URL.
    Request(Method),
}

/// In whose name the upstream is asked.
#[derive(Debug, Clone)]
pub enum RevocationClient {
    /// The client that the token was issued to, as it authenticated itself there.
    Same,
    /// The gateway's own, with HTTP Basic (RFC 6749 section 2.3.1).
    Own {
        /// Its identifier.
        client_id: String,
        /// Its password.
        client_secret: Secret<String>,
    },
}

/// A path on the upstream, or a URL of its own. In it, `{token}` stands for the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationEndpoint {
    url: String,
    is_path: bool,
}

/// Why a text is not where tokens can be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevocationUrlFault {
    /// Neither form.
    #[error(
        "must be a path on the upstream, such as /oauth2/revoke, or http://HOST[:PORT]/PATH or https://…, without a user name"
    )]
    NotAUrl,
    /// A request of the site's own must say which token is meant.
    #[error("must hold {{token}} once, in its path or query, when revocation.style is request")]
    NoPlace,
    /// RFC 7009 puts the token into the body.
    #[error("must not hold {{token}} when revocation.style is rfc7009")]
    Place,
}

impl RevocationEndpoint {
    /// Parses `url` for that style.
    pub fn parse(
        text: &str,
        style: &RevocationStyle,
        upstream: &UpstreamUrl,
    ) -> Result<Self, RevocationUrlFault> {
        let is_path = text.starts_with('/') && !text.starts_with("//");
        let sample = text.replace(TOKEN_PLACE, TOKEN_SAMPLE);
        if text.contains('#') || !is_plain(&sample) {
            return Err(RevocationUrlFault::NotAUrl);
        }
        if is_path {
            sample.parse::<PathAndQuery>().map_err(|_| RevocationUrlFault::NotAUrl)?;
        } else {
            let uri: Uri = sample.parse().map_err(|_| RevocationUrlFault::NotAUrl)?;
            let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
            let has_host = uri.host().is_some_and(|host| !host.is_empty());
            let named = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
            if !is_http || !has_host || named {
                return Err(RevocationUrlFault::NotAUrl);
            }
            // A token in the host would be sent to whoever answers to that name.
            let host = text.split('/').nth(2).unwrap_or_default();
            if host.contains(['{', '}']) {
                return Err(RevocationUrlFault::NoPlace);
            }
        }
        match (style, text.matches(TOKEN_PLACE).count()) {
            (RevocationStyle::Rfc7009, 0) | (RevocationStyle::Request(_), 1) => {}
            (RevocationStyle::Rfc7009, _) => return Err(RevocationUrlFault::Place),
            (RevocationStyle::Request(_), _) => return Err(RevocationUrlFault::NoPlace),
        }
        let url = if is_path { format!("{upstream}{text}") } else { text.to_owned() };
        Ok(Self { url, is_path })
    }

    /// The URL, with `{token}` as it was configured.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The `Host` of a request for an orphan of that host: an upstream with many sites finds its site by it, and a
    /// server of its own has only its own.
    pub(super) fn host(&self, orphan: Option<&str>) -> Option<HeaderValue> {
        orphan.filter(|_| self.is_path).and_then(|host| HeaderValue::from_str(host).ok())
    }
}

/// What every URL parser leaves as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, style: &RevocationStyle) -> Result<String, RevocationUrlFault> {
        let upstream = UpstreamUrl::parse("http://127.0.0.1:8000/").unwrap();
        RevocationEndpoint::parse(text, style, &upstream).map(|endpoint| endpoint.url)
    }

    #[test]
    fn a_path_is_one_of_the_upstream_and_a_url_stays_as_it_is() {
        let style = RevocationStyle::Rfc7009;
        assert_eq!(parse("/oauth2/revoke", &style).unwrap(), "http://127.0.0.1:8000/oauth2/revoke");
        assert_eq!(parse("https://auth.example/r?a=b", &style).unwrap(), "https://auth.example/r?a=b");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "oauth2/revoke",
            "//host/x",
            "ftp://a/b",
            "http://",
            "http://u:p@a/b",
            "/a b",
            "/a#b",
            "/{tok}",
            "/a\\b",
        ] {
            assert_eq!(parse(text, &RevocationStyle::Rfc7009), Err(RevocationUrlFault::NotAUrl), "{text}");
        }
    }

    #[test]
    fn the_token_has_its_place_in_the_url_or_in_the_body_and_never_in_the_host() {
        let request = RevocationStyle::Request(Method::DELETE);
        assert!(parse("/oauth2/tokens/{token}", &request).is_ok());
        assert!(parse("https://a.example/x?t={token}", &request).is_ok());
        for text in ["/oauth2/tokens", "/{token}/{token}", "http://{token}.example/x", "http://{token}/"] {
            assert_eq!(parse(text, &request), Err(RevocationUrlFault::NoPlace), "{text}");
        }
        assert_eq!(parse("/revoke/{token}", &RevocationStyle::Rfc7009), Err(RevocationUrlFault::Place));
    }
}
