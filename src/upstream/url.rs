//! Where the upstream is.

use std::{fmt, net::SocketAddr};

use http::{HeaderValue, Uri};

/// An `http://` or `https://` URL of a host and nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    is_tls: bool,
    host: String,
    port: u16,
    authority: HeaderValue,
}

/// Why a URL cannot be the upstream's. It does not repeat the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be http://HOST[:PORT] or https://HOST[:PORT], without a path, a query or a user name")]
pub struct UpstreamUrlFault;

impl UpstreamUrl {
    /// Parses the configured URL.
    pub fn parse(text: &str) -> Result<Self, UpstreamUrlFault> {
        let uri: Uri = text.parse().map_err(|_| UpstreamUrlFault)?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(UpstreamUrlFault),
        };
        let authority = uri.authority().ok_or(UpstreamUrlFault)?;
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !text.contains(['@', '#']);
        let host = authority.host().trim_matches(['[', ']']);
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => Some(if is_tls { 443 } else { 80 }),
            _ => authority.port_u16().filter(|port| *port != 0),
        };
        let (true, false, Some(port)) = (is_bare, host.is_empty(), port) else {
            return Err(UpstreamUrlFault);
        };
        let value = HeaderValue::from_str(authority.as_str()).map_err(|_| UpstreamUrlFault)?;
        Ok(Self { is_tls, host: host.to_owned(), port, authority: value })
    }

    /// Whether it is `https`.
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The host name, or the address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `HOST[:PORT]`, for requests whose client named no host.
    pub const fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Whether this is that very address.
    pub fn is_address(&self, address: SocketAddr) -> bool {
        self.host.parse() == Ok(address.ip()) && self.port == address.port()
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority.to_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_addresses_and_ports_are_read() {
        for (text, host, port, is_tls) in [
            ("http://127.0.0.1:8000", "127.0.0.1", 8000, false),
            ("http://drupal/", "drupal", 80, false),
            ("https://auth.example", "auth.example", 443, true),
            ("http://[::1]:81", "::1", 81, false),
        ] {
            let url = UpstreamUrl::parse(text).unwrap();
            assert_eq!((url.host(), url.port(), url.is_tls()), (host, port, is_tls), "{text}");
        }
    }

    #[test]
    fn anything_more_than_a_host_is_refused() {
        for text in [
            "127.0.0.1:8000",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://a?b",
            "http://u:p@a",
            "http://a:0",
            "http://a:b",
            "http://a#b",
            "",
            "unix:/x",
        ] {
            assert_eq!(UpstreamUrl::parse(text), Err(UpstreamUrlFault), "{text}");
        }
    }
}
