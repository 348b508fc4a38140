//! tfa-gateway: a second factor in front of an OAuth2 server that has none.
//!
//! A reverse proxy that lets the server behind it check a password, and withholds the token of an enrolled
//! subject until a one-time code was verified and spent.
//!
//! # Life of a token request
//!
//! [`edge`] reads it and asks [`oauth`] what it is; [`step_up::token_flow`] sends the canonical request
//! [`upstream`]; [`oauth::answer`] judges what comes back; only then is the enrolment read from the [`store`];
//! [`policy`] says what is needed; [`factor`] compares; the store settles the attempt in one atomic step; the
//! token is released for a [`policy::Clearance`], or a challenge is answered.
//!
//! # Invariants
//!
//! - No token of a gated grant leaves without a [`policy::Clearance`]; [`policy`] lists the five things that give one.
//! - A store that does not answer, or answers what cannot be opened, is an error; it is never "not enrolled".
//! - What goes to the upstream's token endpoint is encoded from what was parsed, never copied.
//! - No secret, passcode, password or token is in a log line or an error.
//!
//! # Layers
//!
//! 0 [`types`]; 1 [`factor`], [`headers`], [`identity`], [`oauth`], [`sealing`]; 2 [`policy`]; 3 [`step_up`]; between
//! it and the adapters [`pem`]; 4 [`store`], [`telemetry`], [`upstream`]; 5 [`admin`]; 6 [`api`], [`edge`], [`portal`];
//! 7 [`app`], [`cli`], [`config`]. A module imports lower layers only; `docs/architecture.md` has the picture and
//! `tests/tidy.rs` holds it.

pub mod admin;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod edge;
pub mod factor;
pub mod headers;
pub mod identity;
pub mod oauth;
pub mod pem;
pub mod policy;
pub mod portal;
pub mod sealing;
pub mod step_up;
pub mod store;
pub mod telemetry;
pub mod types;
pub mod upstream;
