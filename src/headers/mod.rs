//! Layer 1: which header fields go on to the next hop, and which are ours to write. Pure.
//!
//! Invariants: no connection-specific field crosses the gateway in either direction; a client cannot
//! name an end-to-end field away; the passcode and its twins never go upstream.

pub mod client_addr;
mod forwarded;
mod hop_by_hop;
mod hygiene;
mod legible;
mod trace;

pub use forwarded::{Forwarded, X_FORWARDED_HOST, copy_forwarded, set_forwarded};
pub use hop_by_hop::{remove_from_request, remove_from_response};
pub use hygiene::drop_ambiguous_names;
pub use legible::ask_legibly;
pub use trace::{TraceId, TraceParent};
