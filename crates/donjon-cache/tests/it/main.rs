//! What a cache does.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod behaviour;
mod contract;
#[cfg(feature = "http")]
mod http;
mod support;
