//! Who has how much of a thread: connections, and requests of HTTP/2.

use std::{cell::RefCell, collections::HashMap, net::IpAddr, rc::Rc};

use super::Peer;
use crate::headers::client_addr::client_network;

/// What the clients of one thread have. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients {
    /// Connections.
    pub(super) connections: Rc<Counts>,
    /// Requests of HTTP/2, of which a connection has many, until the last of their answers.
    pub(super) requests: Rc<Counts>,
}

/// How many each client has.
#[derive(Debug, Default)]
pub(super) struct Counts(RefCell<HashMap<IpAddr, usize>>);

/// What one client may have of something. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Share {
    counted: Option<(Rc<Counts>, IpAddr)>,
    max: usize,
}

impl Share {
    /// Of a proxy that is trusted, which has many clients.
    pub(super) const fn unlimited() -> Self {
        Self { counted: None, max: usize::MAX }
    }

    /// Of a client: an IPv4 address, or an IPv6 network of 64 bits.
    pub(super) fn new(counts: &Rc<Counts>, peer: Peer, max: usize) -> Self {
        Self { counted: Some((Rc::clone(counts), client_network(peer.address.ip()))), max }
    }

    /// A place for one more, if there may be one.
    pub(super) fn enter(&self) -> Option<Place> {
        if let Some((counts, client)) = &self.counted {
            let mut counts = counts.0.borrow_mut();
            let count = counts.entry(*client).or_default();
            if *count >= self.max {
                return None;
            }
            *count += 1;
        }
        Some(Place(self.counted.clone()))
    }
}

/// One of what a client has, for as long as it has it.
#[derive(Debug)]
pub(super) struct Place(Option<(Rc<Counts>, IpAddr)>);

impl Drop for Place {
    fn drop(&mut self) {
        let Some((counts, client)) = &self.0 else { return };
        let mut counts = counts.0.borrow_mut();
        if let Some(count) = counts.get_mut(client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_has_is_counted_and_forgotten_with_the_last() {
        let counts = Rc::<Counts>::default();
        let enter = |text: &str| {
            let peer = Peer { address: text.parse().unwrap(), is_tls: false, is_unnamed: false };
            Share::new(&counts, peer, 2).enter()
        };
        let first = enter("[2001:db8::1]:1");
        let second = enter("[2001:db8::2]:1");
        assert!(first.is_some() && second.is_some());
        assert!(enter("[2001:db8::3]:1").is_none());
        assert!(enter("[2001:db8:0:1::3]:1").is_some());
        assert!(enter("192.0.2.1:1").is_some());
        drop(first);
        assert!(enter("[2001:db8::3]:1").is_some());
        drop(second);
        assert!(counts.0.borrow().is_empty());
    }
}
