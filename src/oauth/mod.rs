//! Layer 1: the token request parsed, judged and re-encoded; RFC 6749 errors. Pure.
pub mod answer;
