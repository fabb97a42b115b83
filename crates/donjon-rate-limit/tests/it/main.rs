//! What the rate limit does.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod behaviour;
mod bound;
mod change;
mod contract;
#[cfg(feature = "http")]
mod http;
mod oracle;
mod over_changes;
mod remote;
mod shapes;
mod support;
mod waiting;
