//! One suite for both stores, through the ports that the gateway uses: real Redis servers, alone, with a Sentinel and
//! as a cluster, and a real file.
//!
//! `REDIS_SERVER` names another binary than `redis-server`: an older Redis, or Valkey.

mod access;
mod attempts;
mod clusters;
mod connections;
mod crash;
mod documented;
mod enrolments;
mod failovers;
mod model;
mod moving;
mod outages;
mod pauses;
mod refresh;
mod registry;
mod revocations;
mod sessions;
mod stand;
mod throttle;
mod trail;

#[path = "../e2e/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "shared with the end-to-end tests, which need more of it"
)]
mod support;
