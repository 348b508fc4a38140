//! The audit trail, in whichever store there is.

use super::{Backend, Store, trail_record};
use crate::step_up::{AuditTrail, StoreError, TrailEvent, TrailPage, TrailQuery};

impl AuditTrail for Store {
    async fn append(&self, event: &TrailEvent) -> Result<(), StoreError> {
        let record = trail_record::encode(event);
        match &self.backend {
            Backend::Redis(store) => store.append_event(&record).await,
            Backend::Embedded(store) => store.append_event(record, event.subject.clone()).await,
        }
    }

    async fn trail(&self, query: &TrailQuery) -> Result<TrailPage, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.trail(query).await,
            Backend::Embedded(store) => store.trail(query).await,
        }
    }
}
