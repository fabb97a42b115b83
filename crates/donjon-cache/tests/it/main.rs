//! What a cache does.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod behaviour;
mod cancellation;
mod compile;
mod contract;
mod cost;
mod deadline;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod http_bodies;
#[cfg(feature = "http")]
mod http_edges;
mod lifetime;
mod race;
mod refresh;
mod remote;
mod removal;
mod sharing;
mod stale;
mod stampede;
mod support;
