//! What the breaker does.
#![allow(clippy::unwrap_used, reason = "tests")]
#![cfg(not(donjon_loom))]

mod alloc;
mod backpressure;
mod cancellation;
mod closed;
mod compile;
mod contract;
mod half_open;
#[cfg(feature = "http")]
mod http;
mod operator;
mod sharing;
mod support;
mod throttle;
