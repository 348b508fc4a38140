//! `[portal]`.

use http::Uri;

use super::Texts;
use crate::{types::Secret, upstream::ClientCredentials};

/// What the pages go by.
#[derive(Debug, Clone)]
pub struct PortalSettings {
    /// Where people find them.
    pub url: PortalUrl,
    /// The client in whose name passwords are checked.
    pub client: PortalClient,
    /// The scope that is asked for, if one must be.
    pub scope: Option<String>,
    /// The name on the pages.
    pub site_name: String,
    /// The picture on the pages.
    pub logo: Option<Logo>,
    /// How long a session lasts without a request, in seconds.
    pub session_secs: u64,
    /// What the pages say.
    pub texts: Texts,
}

/// The client of the sign-in: a public one has no secret.
#[derive(Debug, Clone)]
pub struct PortalClient {
    /// Its identifier.
    pub client_id: String,
    /// Its password.
    pub client_secret: Option<Secret<String>>,
}

impl PortalClient {
    /// The value of `Authorization`, if it has a secret.
    pub(super) fn basic(&self) -> Option<Secret<String>> {
        let client_secret = self.client_secret.clone()?;
        Some(ClientCredentials { client_id: self.client_id.clone(), client_secret }.basic())
    }
}

/// A picture.
#[derive(Debug, Clone)]
pub struct Logo {
    /// What it is.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: bytes::Bytes,
}

/// `https://site.example/tfa/`: the origin that forms must come from, and the path of the pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalUrl {
    origin: String,
    path: String,
}

impl PortalUrl {
    /// Takes an `http` or `https` URL with a path of plain segments that ends with `/`, and nothing after it.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        // Passwords go there: in clear on this machine alone.
        let host = authority.host().trim_matches(['[', ']']);
        let is_local = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if scheme == "http" && !is_local {
            return None;
        }
        let path = uri.path();
        let is_plain = |segment: &str| {
            !segment.is_empty()
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        };
        let inner = path.strip_prefix('/')?.strip_suffix('/')?;
        if uri.query().is_some() || text.contains('#') || !inner.split('/').all(is_plain) {
            return None;
        }
        // Browsers leave out the default port.
        let default = if scheme == "https" { ":443" } else { ":80" };
        let authority = authority.as_str().to_ascii_lowercase();
        let authority = authority.strip_suffix(default).unwrap_or(&authority);
        Some(Self { origin: format!("{scheme}://{authority}"), path: path.to_owned() })
    }

    /// Scheme, host and port (RFC 6454 section 6.2).
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Host and port, as requests for the pages name them.
    pub(super) fn authority(&self) -> &str {
        self.origin.split_once("://").map_or("", |(_, authority)| authority)
    }

    /// The path, with `/` at both ends.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether browsers may hold the session's cookie for `https` alone.
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }
}

impl std::fmt::Display for PortalUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_an_origin_and_a_path_that_ends_with_a_slash() {
        let url = PortalUrl::parse("https://Site.example:443/tfa/").unwrap();
        assert_eq!((url.origin(), url.path(), url.is_https()), ("https://site.example", "/tfa/", true));
        let url = PortalUrl::parse("http://127.0.0.1:8080/a/b-1/").unwrap();
        assert_eq!((url.origin(), url.path(), url.is_https()), ("http://127.0.0.1:8080", "/a/b-1/", false));
        for text in [
            "/tfa/",
            "https://site.example",
            "https://site.example/",
            "https://site.example/tfa",
            "https://site.example/t%66a/",
            "https://site.example/tfa//",
            "https://site.example/tfa/?x",
            "https://u@site.example/tfa/",
            "ftp://site.example/tfa/",
            "http://site.example/tfa/",
            "http://10.0.0.1/tfa/",
        ] {
            assert_eq!(PortalUrl::parse(text), None, "{text}");
        }
    }
}
