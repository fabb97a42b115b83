//! What the breaker does.
#![allow(clippy::unwrap_used, reason = "tests")]
#![cfg(not(donjon_loom))]

mod contract;
