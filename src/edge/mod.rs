//! Layer 5: the HTTP face.
//!
//! Invariants: every request is answered by exactly one of `token_endpoint`, `pass_through` and `respond`;
//! `respond` is the only table from what went wrong to a response; nothing a thread holds is shared with
//! another thread.

mod body;
pub mod client_addr;
mod gated;
pub mod health;
mod implicit;
pub mod listener;
mod messages;
mod pass_through;
mod respond;
mod router;
mod tls;
mod token_endpoint;
mod tunnel;
mod watch;

pub use body::{BodyError, GatewayBody};
pub use client_addr::Peer;
pub use messages::Messages;
pub use pass_through::PassThroughError;
pub use router::Gateway;
pub use tls::{ClientName, ServerTls, ServerTlsFault};
pub use watch::{TripwireMode, TripwireSettings};
