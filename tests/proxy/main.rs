//! The pass-through data plane, byte by byte: the built gateway between a client and an upstream that the
//! test plays itself, on raw connections.
//!
//! Nothing here waits for time to pass. A test reads until the bytes that it expects have come, or fails
//! after [`support::PATIENCE`]; a connection to the upstream that the test does not take fails it as well.

mod connections;
mod continuing;
mod disconnects;
mod enrolments;
mod failures;
mod faults;
mod forwarded;
mod framing;
mod hop_by_hop;
mod limits;
mod shutdown;
mod smuggling;
mod streaming;
mod support;
mod targets;
mod tripwire;
mod tunnels;
