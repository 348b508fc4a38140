//! Layer 3: the protocol on one screen ([`token_flow`]), and the ports it needs.
//!
//! Invariants: no adapter is named here, but for the vocabulary of the `http` crate; a [`WithheldToken`] gives its bytes
//! only for a [`Clearance`](crate::policy::Clearance); a store that cannot answer is an error, and an
//! error never releases.

mod denial;
mod device;
mod flow;
mod meter;
mod moving;
mod ports;
mod refresh;
mod registry;
mod revocation;
mod session;
mod sign_in;
mod throttle;
mod trail;
mod withheld;

pub use denial::EditDenial;
pub use device::{
    DeviceRequest, DeviceStore, DeviceToken, PresentedDevice, StoredDevice, X_TFA_DEVICE, X_TFA_REMEMBER,
};
pub use flow::{Claim, Flow, GateError, GatedGrant, GrantFacts, Outcome, token_flow};
pub use meter::{Meter, SharedMeter, StoreOperation, UpstreamFailure};
pub use moving::{Departing, TakenCode, TakenOver, Takeover};
pub use ports::{
    Asker, AttemptLedger, Audit, AuditEvent, AuditOutcome, Clock, EnrolmentStore, Fingerprints, Found,
    OwnerError, StoreError, TokenOwner, TokenUpstream, UpstreamAnswer, UpstreamFault,
};
pub use refresh::{RefreshGrant, RefreshRegistry, passed_flow, refresh_flow};
pub use registry::{
    Beside, EnrolmentRegistry, FactorStatus, ListCursor, ListPage, ListQuery, NameSummary, NewFactor,
    SubjectStatus,
};
pub use revocation::{
    DueRevocation, Orphan, OrphanClient, Orphans, Revocation, RevocationFault, RevocationId, RevocationMeter,
    RevocationOutcome, RevocationQueue, TokenOrigin,
};
pub use session::{Session, SessionStore, StoredSession};
pub use sign_in::{SignIn, sign_in_flow, verify_flow};
pub use throttle::{TokenThrottle, throttled};
pub use trail::{Actor, AuditTrail, ChangeKind, TrailEvent, TrailList, TrailPage, TrailQuery};
pub use withheld::WithheldToken;
