//! What is measured of the world behind the ports.

use std::{sync::Arc, time::Duration};

use super::StoreError;

/// What a store was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOperation {
    /// To read an enrolment.
    Find,
    /// To settle an attempt.
    Settle,
}

/// Why the upstream gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// No connection.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// It broke off, or was not HTTP.
    Broken,
    /// All connections are in use.
    Overloaded,
}

/// Takes measurements. It must not block, and costs some additions.
pub trait Meter: Send + Sync {
    /// How long a store took, and why it failed if it did.
    fn store(&self, operation: StoreOperation, took: Duration, error: Option<&StoreError>);
    /// How long the upstream took to the head of its answer, and why it failed if it did.
    fn upstream(&self, took: Duration, failure: Option<UpstreamFailure>);
    /// So many connections to the upstream more, or fewer.
    fn upstream_connections(&self, more: i64);
}

/// A meter that threads share.
pub type SharedMeter = Arc<dyn Meter>;
