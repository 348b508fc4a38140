//! Who is on the other end of a connection, and whose word about that is believed.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
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
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    }

    /// Whether this peer is one of them. An IPv4 address counts as such when it comes mapped into IPv6.
    pub fn contains(&self, peer: Peer) -> bool {
        let address = peer.address.ip().to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let peer = Peer { address: address.parse().unwrap() };
            assert_eq!(trusted.contains(peer), expected, "{address}");
        }
        assert!(TrustedProxies::parse_network("10.0.0.0/33").is_none());
    }
}
