//! The fan-out over a scripted service on the paused clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod behaviour;
mod cancellation;
mod contract;
mod deadline;
mod model;
mod quorum;
mod scripted;
mod sources;
