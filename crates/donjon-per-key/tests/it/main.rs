//! What a layer per key does.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod behaviour;
mod contract;
