//! What a layer per key does.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod busy;
mod cancellation;
mod compile;
mod contract;
mod cost;
mod except;
mod handle;
mod keys;
mod model;
mod nested;
mod panics;
mod readiness;
mod refusals;
mod sharing;
mod support;
mod threads;
mod unkeyed;
