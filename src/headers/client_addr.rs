//! Who is on the other end of a connection, and whose word about that is believed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use ipnet::{IpNet, Ipv4Net};

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it speaks TLS to us.
    pub is_tls: bool,
    /// Whether it is a proxy that speaks for a client and does not say for whom: nothing it passes on is its own word.
    pub is_unnamed: bool,
}

/// The proxies in front of the gateway whose `X-Forwarded-*` is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// These networks, and no others.
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Reads a network (`10.0.0.0/8`) or a single address.
    pub fn parse_network(text: &str) -> Option<IpNet> {
        let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
        // IPv4 mapped into IPv6 is compared as IPv4.
        match network {
            IpNet::V6(v6) => match v6.addr().to_ipv4_mapped() {
                Some(v4) => Ipv4Net::new(v4, v6.prefix_len().checked_sub(96)?).ok().map(IpNet::from),
                None => Some(network),
            },
            IpNet::V4(_) => Some(network),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this peer is one of them. An IPv4 address counts as such when it comes mapped into IPv6.
    pub fn contains(&self, peer: Peer) -> bool {
        let address = peer.address.ip().to_canonical();
        !peer.is_unnamed && self.0.iter().any(|network| network.contains(&address))
    }

    /// Where a request came from: the peer, or, as far as the proxies are trusted, the address that the last one of
    /// them took it from. `None` where a trusted proxy's word cannot be read, or it gave none.
    pub fn client(&self, peer: Peer, headers: &HeaderMap) -> Option<IpAddr> {
        if peer.is_unnamed {
            return None;
        }
        let is_trusted = |address: IpAddr| self.0.iter().any(|network| network.contains(&address));
        let mut address = peer.address.ip().to_canonical();
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        let mut hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|b| *b == b','));
        while is_trusted(address) {
            let Some(hop) = hops.next() else { break };
            address = std::str::from_utf8(hop.trim_ascii()).ok()?.parse::<IpAddr>().ok()?.to_canonical();
        }
        Some(address)
    }
}

/// What counts as one client: whoever has an IPv6 address has its network of 64 bits as a rule (RFC 7421 section 1).
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_client_is_where_the_last_trusted_proxy_took_its_request_from() {
        let networks = ["10.0.0.0/8"].map(|text| TrustedProxies::parse_network(text).unwrap());
        let trusted = TrustedProxies::new(networks.to_vec());
        for (peer, lines, expected) in [
            ("192.0.2.1:1", &["203.0.113.7"][..], Some("192.0.2.1")),
            ("10.0.0.1:1", &[], Some("10.0.0.1")),
            ("[::ffff:10.0.0.1]:1", &["203.0.113.7"], Some("203.0.113.7")),
            ("10.0.0.1:1", &["10.9.9.9, 203.0.113.7, 10.0.0.2"], Some("203.0.113.7")),
            ("10.0.0.1:1", &["203.0.113.7", "198.51.100.1,10.0.0.3"], Some("198.51.100.1")),
            ("10.0.0.1:1", &["10.0.0.9"], Some("10.0.0.9")),
            ("10.0.0.1:1", &["203.0.113.7, unknown"], None),
            ("10.0.0.1:1", &[""], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let client = trusted
                .client(Peer { address: peer.parse().unwrap(), is_tls: false, is_unnamed: false }, &headers);
            assert_eq!(client, expected.map(|text| text.parse().unwrap()), "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_proxy_that_does_not_say_for_whom_it_speaks_is_not_believed() {
        let trusted = TrustedProxies::new(vec![TrustedProxies::parse_network("10.0.0.0/8").unwrap()]);
        let peer = Peer { address: "10.0.0.1:1".parse().unwrap(), is_tls: false, is_unnamed: true };
        let headers = [(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_static("203.0.113.7"))];
        assert!(!trusted.contains(peer));
        assert_eq!(trusted.client(peer, &headers.into_iter().collect()), None);
    }

    #[test]
    fn networks_and_single_addresses_are_trusted_and_no_others() {
        let networks = ["10.0.0.0/8", "::1"].map(|text| TrustedProxies::parse_network(text).unwrap());
        let trusted = TrustedProxies::new(networks.to_vec());
        for (address, expected) in [
            ("10.1.2.3:1", true),
            ("[::ffff:10.1.2.3]:1", true),
            ("[::1]:1", true),
            ("11.0.0.1:1", false),
            ("[::2]:1", false),
        ] {
            let peer = Peer { address: address.parse().unwrap(), is_tls: false, is_unnamed: false };
            assert_eq!(trusted.contains(peer), expected, "{address}");
        }
        assert!(TrustedProxies::parse_network("10.0.0.0/33").is_none());
        let mapped = ["::ffff:10.1.0.0/112", "::ffff:10.1.2.3", "::ffff:0:0/90"];
        let read = mapped.map(|text| TrustedProxies::parse_network(text).map(|network| network.to_string()));
        assert_eq!(read, [Some("10.1.0.0/16".to_owned()), Some("10.1.2.3/32".to_owned()), None]);
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let network = |text: &str| client_network(address(text));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), address("192.0.2.1"));
    }
}
