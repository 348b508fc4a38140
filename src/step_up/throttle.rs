//! Where it is counted how often a client asks.

use std::{
    future::Future,
    net::{IpAddr, Ipv6Addr},
};

use super::StoreError;
use crate::policy::throttle::{Passage, Throttle};

/// Counts token requests, atomically and for all gateways on one store.
pub trait TokenThrottle {
    /// Judges one request of a client.
    fn pass(&self, client: IpAddr, throttle: Throttle) -> impl Future<Output = Result<Passage, StoreError>>;
}

/// What counts as one client: whoever has an IPv6 address has its network of 64 bits as a rule (RFC 7421 section 1).
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Whether a request may be looked at. A store that does not answer keeps nobody out by this: what needs the store is
/// refused for itself.
pub async fn throttled(store: &impl TokenThrottle, throttle: Option<Throttle>, client: IpAddr) -> Passage {
    let Some(throttle) = throttle else { return Passage::Free };
    store.pass(client_network(client), throttle).await.unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "token requests cannot be counted");
        Passage::Free
    })
}
