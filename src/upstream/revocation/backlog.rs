//! What is still to be revoked, stored or not, as it is shown.

use std::{cell::Cell, sync::Arc};

use crate::step_up::{RevocationMeter, RevocationOutcome};

/// Shared by whoever keeps and whoever revokes.
pub(super) struct Backlog {
    stored: Cell<u64>,
    held: Cell<u64>,
    meter: Arc<dyn RevocationMeter>,
}

impl Backlog {
    pub(super) fn new(meter: Arc<dyn RevocationMeter>) -> Self {
        Self { stored: Cell::default(), held: Cell::default(), meter }
    }

    /// So many are in the store.
    pub(super) fn set_stored(&self, revocations: u64) {
        self.stored.set(revocations);
        self.show();
    }

    /// One is no longer in the store, and the store may not be there to say so.
    pub(super) fn one_is_settled(&self) {
        self.set_stored(self.stored.get().saturating_sub(1));
    }

    /// So many are in this process, for the store does not take them.
    pub(super) fn set_held(&self, revocations: usize) {
        self.held.set(revocations as u64);
        self.show();
    }

    pub(super) fn count(&self, outcome: RevocationOutcome, revocations: u64) {
        self.meter.count(outcome, revocations);
    }

    fn show(&self) {
        self.meter.set_backlog(self.stored.get().saturating_add(self.held.get()));
    }
}
