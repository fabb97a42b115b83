//! What coalescing does.

mod alloc;
mod behaviour;
mod cancellation;
mod compile;
mod contract;
mod cost;
mod deadline;
mod flights;
#[cfg(feature = "http")]
mod http;
mod script;
mod sharing;
mod support;
