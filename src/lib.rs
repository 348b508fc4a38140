//! tfa-gateway: a second factor in front of an OAuth2 server that has none.
pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod edge;
pub mod factor;
pub mod headers;
pub mod identity;
pub mod oauth;
pub mod policy;
pub mod sealing;
pub mod step_up;
pub mod store;
pub mod telemetry;
pub mod types;
pub mod upstream;
