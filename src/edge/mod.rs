//! Layer 6: the HTTP face.
//!
//! Invariants: every request is answered by exactly one of `token_endpoint`, `implicit`, `pass_through` and `respond`,
//! and on the private listener by `health`; `respond` is the only table from what went wrong to a response; nothing a
//! thread holds is shared with another thread.

mod alarm;
mod body;
mod clients;
mod connection;
mod gated;
pub mod health;
mod http1;
mod http2;
mod implicit;
pub mod listener;
mod load;
mod messages;
mod pass_through;
mod proxy_protocol;
mod respond;
mod router;
mod stream;
mod tls;
mod token_endpoint;
mod tunnel;
mod watch;

use crate::headers::client_addr::Peer;

pub use body::{BodyError, GatewayBody};
pub use load::{Load, RequestLimits};
pub use messages::Messages;
pub use pass_through::PassThroughError;
pub use router::Gateway;
pub use tls::{CertificateFiles, ClientCertificates, ClientName, ServerTls, ServerTlsFault};
pub use watch::{TripwireMode, TripwireSettings};
