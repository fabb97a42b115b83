//! The transport against servers on loopback. The clock is the real one: tests wait for events, not for time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod behaviour;
mod bodies;
mod bound;
mod contract;
mod failures;
#[cfg(feature = "http2")]
mod http2;
mod pools;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "tls")]
mod tls;
mod upstream;
