//! Where and how tokens are revoked, as it is configured.

use http::{Method, header::HeaderValue};

use crate::{
    types::Secret,
    upstream::{ClientCredentials, EndpointUrl, UpstreamUrl},
};

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
        write!(f, "{method} {}", self.endpoint.url.shown(&self.endpoint.upstream))
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
    /// The gateway's own.
    Own(ClientCredentials),
}

/// Where the upstream is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationEndpoint {
    url: EndpointUrl,
    upstream: UpstreamUrl,
}

/// Why a text is not where tokens can be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevocationUrlFault {
    /// Neither a path nor a URL.
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
        let url = EndpointUrl::parse(text).ok_or(RevocationUrlFault::NotAUrl)?;
        match (style, url.has_place_for_token()) {
            (RevocationStyle::Rfc7009, false) | (RevocationStyle::Request(_), true) => {
                Ok(Self { url, upstream: upstream.clone() })
            }
            (RevocationStyle::Rfc7009, true) => Err(RevocationUrlFault::Place),
            (RevocationStyle::Request(_), false) => Err(RevocationUrlFault::NoPlace),
        }
    }

    /// The URL, with the token where the style wants it there.
    pub(super) fn url(&self, token: &Secret<String>) -> Secret<String> {
        self.url.absolute(&self.upstream, token.expose())
    }

    /// The server that is asked.
    pub(super) fn server(&self) -> &UpstreamUrl {
        self.url.origin().unwrap_or(&self.upstream)
    }

    /// The `Host` of a request for an orphan of that host: an upstream with many sites finds its site by it, and a
    /// server of its own has only its own.
    pub(super) fn host(&self, orphan: Option<&str>) -> Option<HeaderValue> {
        orphan.filter(|_| self.url.origin().is_none()).and_then(|host| HeaderValue::from_str(host).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, style: &RevocationStyle) -> Result<String, RevocationUrlFault> {
        let upstream = UpstreamUrl::parse("http://127.0.0.1:8000/").unwrap();
        let endpoint = RevocationEndpoint::parse(text, style, &upstream)?;
        Ok(endpoint.url(&Secret::new("a/b".into())).expose().clone())
    }

    #[test]
    fn a_path_is_one_of_the_upstream_and_a_url_stays_as_it_is() {
        let style = RevocationStyle::Rfc7009;
        assert_eq!(parse("/oauth2/revoke", &style).unwrap(), "http://127.0.0.1:8000/oauth2/revoke");
        assert_eq!(parse("https://auth.example/r?a=b", &style).unwrap(), "https://auth.example/r?a=b");
        assert_eq!(parse("oauth2/revoke", &style), Err(RevocationUrlFault::NotAUrl));
    }

    #[test]
    fn the_token_has_its_place_in_the_url_or_in_the_body_and_never_in_the_host() {
        let request = RevocationStyle::Request(Method::DELETE);
        assert_eq!(parse("https://a.example/x?t={token}", &request).unwrap(), "https://a.example/x?t=a%2Fb");
        assert_eq!(parse("/oauth2/tokens", &request), Err(RevocationUrlFault::NoPlace));
        assert_eq!(parse("/revoke/{token}", &RevocationStyle::Rfc7009), Err(RevocationUrlFault::Place));
        assert_eq!(parse("http://{token}.example/x", &request), Err(RevocationUrlFault::NotAUrl));
    }
}
