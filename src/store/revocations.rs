//! The revocations of either store, as the port wants them.

use super::{Backend, Store};
use crate::{
    step_up::{DueRevocation, Revocation, RevocationId, RevocationQueue, StoreError},
    types::UnixTime,
};

impl RevocationQueue for Store {
    async fn push(&self, revocation: &Revocation, now: UnixTime) -> Result<u64, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.push_revocation(&self.keys, revocation).await,
            Backend::Embedded(store) => store.push_revocation(&self.keys, revocation, now).await,
        }
    }

    async fn claim(
        &self,
        now: UnixTime,
        lease_secs: u64,
        limit: usize,
    ) -> Result<Vec<DueRevocation>, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.claim_revocations(&self.keys, lease_secs, limit).await,
            Backend::Embedded(store) => store.claim_revocations(&self.keys, now, lease_secs, limit).await,
        }
    }

    async fn postpone(
        &self,
        id: &RevocationId,
        now: UnixTime,
        delay_secs: u64,
        attempts: u32,
    ) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.postpone_revocation(id, delay_secs, attempts).await,
            Backend::Embedded(store) => store.postpone_revocation(id, now, delay_secs, attempts).await,
        }
    }

    async fn finish(&self, id: &RevocationId) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.finish_revocation(id).await,
            Backend::Embedded(store) => store.finish_revocation(id).await,
        }
    }

    async fn backlog(&self) -> Result<u64, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.revocations().await,
            Backend::Embedded(store) => store.revocations().await,
        }
    }
}
