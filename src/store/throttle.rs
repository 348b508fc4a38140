//! How often clients ask, in whichever store there is.

use std::net::IpAddr;

use super::{Backend, Store};
use crate::{
    policy::throttle::{Passage, Throttle},
    step_up::{StoreError, TokenThrottle},
};

impl TokenThrottle for Store {
    async fn pass(&self, client: IpAddr, throttle: Throttle) -> Result<Passage, StoreError> {
        let wait_ms = match &self.backend {
            Backend::Redis(store) => store.pass(client, throttle).await?,
            Backend::Embedded(store) => store.pass(client, throttle).await?,
        };
        Ok(if wait_ms == 0 { Passage::Free } else { Passage::In(wait_ms) })
    }
}
