//! Where the upstream is.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use http::{HeaderValue, Uri};

/// An `http://` or `https://` URL of a host and nothing more, or `unix:` and the path of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    is_tls: bool,
    place: Place,
    authority: HeaderValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// Where a connection leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A host name, or an address without brackets, and a port.
    Tcp(&'a str, u16),
    /// A socket of this machine.
    Unix(&'a Path),
}

/// Why a URL cannot be the upstream's. It does not repeat the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be http://HOST[:PORT] or https://HOST[:PORT], without a path, a query or a user name, or unix:/PATH"
)]
pub struct UpstreamUrlFault;

impl UpstreamUrl {
    /// Parses the configured URL.
    pub fn parse(text: &str) -> Result<Self, UpstreamUrlFault> {
        if let Some(path) = text.strip_prefix("unix:") {
            let is_path = path.starts_with('/') && !path.starts_with("//") && !path.ends_with('/');
            let authority = HeaderValue::from_static("localhost");
            return if is_path {
                Ok(Self { is_tls: false, place: Place::Unix(path.into()), authority })
            } else {
                Err(UpstreamUrlFault)
            };
        }
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
        Ok(Self { is_tls, place: Place::Tcp { host: host.to_owned(), port }, authority: value })
    }

    /// Whether it is `https`.
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Where to connect.
    pub fn destination(&self) -> Destination<'_> {
        match &self.place {
            Place::Tcp { host, port } => Destination::Tcp(host, *port),
            Place::Unix(path) => Destination::Unix(path),
        }
    }

    /// `HOST[:PORT]`, for requests whose client named no host.
    pub const fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Whether this is that very address.
    pub fn is_address(&self, address: SocketAddr) -> bool {
        matches!(self.destination(), Destination::Tcp(host, port)
            if host.parse() == Ok(address.ip()) && port == address.port())
    }

    /// The scheme and authority of a request to it, whatever way it goes.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority.to_str().unwrap_or_default())
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp { .. } => f.write_str(&self.origin()),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
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
            assert_eq!((url.destination(), url.is_tls()), (Destination::Tcp(host, port), is_tls), "{text}");
            assert_eq!(url.to_string(), text.trim_end_matches('/'));
        }
    }

    #[test]
    fn a_socket_is_named_by_its_path() {
        let url = UpstreamUrl::parse("unix:/run/site.sock").unwrap();
        assert_eq!(url.destination(), Destination::Unix(Path::new("/run/site.sock")));
        assert_eq!(
            (url.to_string().as_str(), url.origin().as_str()),
            ("unix:/run/site.sock", "http://localhost")
        );
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
            "unix:x",
            "unix://x",
            "unix:/x/",
        ] {
            assert_eq!(UpstreamUrl::parse(text), Err(UpstreamUrlFault), "{text}");
        }
    }
}
