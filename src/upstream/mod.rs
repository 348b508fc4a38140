//! Layer 4: the server behind the gateway.
//!
//! Invariants: a connection serves one request at a time, and goes back to the pool only when its answer
//! was read to the end; a request of which a byte was written is never sent again; dropping an answer,
//! or the wait for it, closes its connection, so that a client that leaves cancels its request.

mod back_channel;
mod body;
mod client_credentials;
mod client_tls;
mod connect;
mod detached;
mod endpoint_url;
mod error;
mod pool;
mod progress;
mod revocation;
mod slots;
mod token;
mod token_server;
mod url;

pub use back_channel::BackChannel;
pub use body::{AnswerBody, ClientBody, ContinueGate, UpstreamBody};
pub use client_credentials::ClientCredentials;
pub use client_tls::{ClientTls, ClientTlsFault};
pub use detached::Detached;
pub use endpoint_url::EndpointUrl;
pub use error::UpstreamError;
pub use pool::{Pool, TunnelPlace, UpstreamSettings};
pub use progress::{Progress, UploadFault, UploadLimits};
pub use revocation::{
    OrphanInbox, OrphanSender, RevocationChannel, RevocationClient, RevocationEndpoint, RevocationSettings,
    RevocationStyle, RevocationUrlFault, RevocationWorker, orphans,
};
pub use token_server::{OwnerSource, Question, TokenServer};
pub use url::{Destination, UpstreamUrl, UpstreamUrlFault};
