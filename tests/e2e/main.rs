//! The gateway as its clients meet it: the built binary between real stores and real OAuth2 servers.

mod administration;
mod answers;
mod api;
mod attacks;
mod cases;
mod cli;
mod clients;
mod demo;
mod devices;
mod formats;
mod grants;
mod identity;
mod implicit;
mod import;
mod lockout;
mod outages;
mod owners;
mod parts;
mod passcodes;
mod policy;
mod portal;
mod races;
mod real_servers;
mod recovery;
mod refresh;
mod revocation;
mod sealing;
mod secrets;
#[expect(dead_code, reason = "shared with the contract suite, which needs a little more of it")]
mod support;
mod tampering;
mod tls;
