//! What the hedging layer promises, seen from outside.
#![allow(clippy::unwrap_used, reason = "a test that unwraps has found what it looks for")]

mod alloc;
mod behaviour;
mod cancellation;
#[cfg(feature = "http")]
mod connection;
mod contract;
#[cfg(feature = "http")]
mod http;
mod learning;
mod model;
mod support;
mod types;
