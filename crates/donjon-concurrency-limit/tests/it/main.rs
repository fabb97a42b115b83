//! What the concurrency limit does.

mod admission;
mod backpressure;
mod cancellation;
mod compile;
mod contract;
mod deadline;
mod handle;
#[cfg(feature = "http")]
mod http;
mod script;
mod sharing;
mod support;
mod upgrade;
