//! Where it is counted how often a client asks.

use std::{future::Future, net::IpAddr};

use super::StoreError;
use crate::{
    headers::client_addr::client_network,
    policy::throttle::{Passage, Throttle},
};

/// Counts token requests, atomically and for all gateways on one store.
pub trait TokenThrottle {
    /// Judges one request of a client.
    fn pass(&self, client: IpAddr, throttle: Throttle) -> impl Future<Output = Result<Passage, StoreError>>;
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
