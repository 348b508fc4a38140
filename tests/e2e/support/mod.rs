//! What the end-to-end tests run on: the built gateway, real stores, real upstreams, real clients.
//!
//! Every part lives in a directory of its own and listens on a port of its own; what a test starts ends
//! with it, and what the process started ends with the process.

mod assertions;
mod clock;
mod gateway;
mod http;
mod process;
mod redis;
mod request;
pub(crate) mod site;
mod stage;
mod upstream;

pub(crate) use assertions::{
    Challenge, assert_challenge, assert_challenge_head, assert_denied, assert_relayed, assert_token,
    has_token,
};
pub(crate) use clock::{Clock, Passcodes};
pub(crate) use gateway::{BINARY, Gateway, Ran};
pub(crate) use http::{Response, exchange, in_parallel};
pub(crate) use process::{PATIENCE, end, free_port, lines, quietly, scratch, spawn};
pub(crate) use redis::RedisServer;
pub(crate) use request::{TokenRequest, get};
pub(crate) use stage::{Person, Stage, StoreKind, on_both_stores};
pub(crate) use upstream::{Kind, Received, Upstream};
