//! Tests of donjon-retry.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod alloc;
mod amplification;
mod behaviour;
mod budget;
mod cancellation;
#[cfg(feature = "http")]
mod contract;
mod deadline;
#[cfg(feature = "http")]
mod grpc;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod http_bodies;
mod support;
mod types;
