//! The gateway as its clients meet it: the built binary between real stores and real OAuth2 servers.

mod answers;
mod attacks;
mod cases;
mod cli;
mod clients;
mod demo;
mod grants;
mod identity;
mod lockout;
mod outages;
mod parts;
mod passcodes;
mod races;
mod revocation;
mod sealing;
mod secrets;
#[expect(dead_code, reason = "shared with the contract suite, which needs a little more of it")]
mod support;
mod tampering;
mod tls;
