//! Layer 6: the administration API under `/api/v1/`, on the private listener.
//!
//! Invariants: nothing but the document that describes it is answered to who has not shown who it is; whatever is
//! changed is changed by the use cases of `admin`, in the caller's name, and goes on to its record when the caller
//! leaves; a secret or a token is in no log line; `problem` is the only table from what went wrong to a response.

mod access;
mod body;
mod call;
mod problem;
mod query;
mod routes;
mod server;
mod slowness;

pub use access::{AccessToken, Right, TOKEN_NAME_RULE, TokenDigest, is_token_name};
pub use server::{Api, ApiSettings, PREFIX, Underway};
