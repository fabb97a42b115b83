//! Tests over several crates.
#![allow(clippy::unwrap_used, reason = "the helpers of tests panic as tests do")]

mod arrows;
mod cached_client;
mod client;
mod contract;
mod fan_out;
mod full_client;
mod full_client_budget;
mod observe;
mod one_budget;
mod orders;
mod outage;
mod refusals;
mod server_stack;
mod servers;
mod spawned;
mod tracing;
