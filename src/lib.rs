//! tfa-gateway: a second factor in front of an OAuth2 server that has none.
pub mod factor;
pub mod identity;
pub mod oauth;
pub mod policy;
pub mod sealing;
pub mod step_up;
pub mod types;
