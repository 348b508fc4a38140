//! Layer 3: the protocol on one screen ([`token_flow`]), and the ports it needs.
//!
//! Invariants: no type of an HTTP or store library is named here; a [`WithheldToken`] gives its bytes
//! only for a [`Clearance`](crate::policy::Clearance); a store that cannot answer is an error, and an
//! error never releases.

mod flow;
mod moving;
mod ports;
mod refresh;
mod registry;
mod revocation;
mod trail;
mod withheld;

pub use flow::{Claim, Flow, GateError, GatedGrant, GrantFacts, Outcome, token_flow};
pub use moving::{Departing, TakenCode, TakenOver, Takeover};
pub use ports::{
    AttemptLedger, Audit, AuditEvent, AuditOutcome, Clock, EnrolmentStore, Fingerprints, Found, OwnerError,
    StoreError, TokenOwner, TokenUpstream, UpstreamAnswer, UpstreamFault,
};
pub use refresh::{RefreshGrant, RefreshRegistry, passed_flow, refresh_flow};
pub use registry::{
    EnrolmentRegistry, FactorStatus, ListCursor, ListPage, ListQuery, NameSummary, NewFactor, SubjectStatus,
};
pub use revocation::{
    DueRevocation, Orphan, OrphanClient, Orphans, Revocation, RevocationFault, RevocationId, RevocationMeter,
    RevocationOutcome, RevocationQueue, TokenOrigin,
};
pub use trail::{Actor, AuditTrail, ChangeKind, TrailEvent, TrailPage, TrailQuery};
pub use withheld::WithheldToken;
