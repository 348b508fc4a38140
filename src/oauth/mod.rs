//! Layer 1: the token request parsed, judged and re-encoded; RFC 6749 errors. Pure.
//!
//! Invariants: what goes upstream is encoded from what was parsed, never copied; a request that two
//! parsers could read in two ways is refused; what is refused is named, and no value is echoed.

pub mod answer;
mod client;
mod decoding;
pub mod endpoint;
mod fault;
mod form;
pub mod forward;
mod implicit;
mod issued;
mod json;
mod media_type;
mod multipart;
mod request;
mod rules;
pub mod tripwire;

pub use fault::RequestFault;
pub use implicit::ImplicitRequest;
pub use issued::IssuedTokens;
pub use request::{Encoding, TokenRequest};
pub use rules::{ForwardAs, RequestRules};
