//! Tests of donjon-retry.

mod behaviour;
#[cfg(feature = "http")]
mod contract;
