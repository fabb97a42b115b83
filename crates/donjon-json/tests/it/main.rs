//! Behaviour of the JSON client over services in memory, and over one on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod allocations;
mod answer;
mod call;
mod contract;
mod loopback;
mod properties;
mod redirect;
mod secrets;
mod stack;
mod support;
