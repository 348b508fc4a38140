//! The audit trail, in whichever store there is.

use super::{Backend, Store, trail_record};
use crate::step_up::{AuditTrail, EditDenial, StoreError, TrailEvent, TrailPage, TrailQuery};

impl Store {
    /// Keeps an audit event of a grant, as a line of JSON, for whoever reads the stream. The embedded store has none.
    pub async fn keep_event(&self, event: &str) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.keep_event(event).await,
            Backend::Embedded(_) => Err(EditDenial::NoEvents.into()),
        }
    }
}

impl AuditTrail for Store {
    async fn append(&self, event: &TrailEvent) -> Result<(), StoreError> {
        let record = trail_record::encode(event);
        match &self.backend {
            Backend::Redis(store) => store.append_event(&record, event.list(), event.subject.as_ref()).await,
            Backend::Embedded(store) => store.append_event(record, event.list(), event.subject.clone()).await,
        }
    }

    async fn trail(&self, query: &TrailQuery) -> Result<TrailPage, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.trail(query).await,
            Backend::Embedded(store) => store.trail(query).await,
        }
    }
}
