//! One suite for both stores, through the ports that the gateway uses: a real redis-server, a real file.
//!
//! `REDIS_SERVER` names another binary than `redis-server`: an older Redis, or Valkey.

mod attempts;
mod crash;
mod documented;
mod enrolments;
mod model;
mod moving;
mod outages;
mod refresh;
mod registry;
mod revocations;
mod stand;
mod trail;

#[path = "../e2e/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the end-to-end tests, which need more of it")]
mod support;
