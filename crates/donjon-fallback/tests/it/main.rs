//! What the fallback does.
#![allow(clippy::unwrap_used, reason = "tests")]

mod behaviour;
mod compile;
mod contract;
