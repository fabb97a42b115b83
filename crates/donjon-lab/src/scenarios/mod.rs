//! The scenes, one a file.
//!
//! Still to come, with the layers that they measure: balance (eleven backends, one of them slow; a fleet of mixed
//! speeds), ejection (a share of the endpoints dead; one that fails fast) and adaptive limits (a service whose speed
//! changes; four tiers of importance). Each is a file here and a line in [`ALL`].

mod breaker;
mod cold_start;
mod deadline;
mod fan_out;
mod jitter;
mod orders;
mod queue_burst;
mod retry_budget;
mod retry_storm;
mod stampede;

use crate::Scenario;

/// All of them.
pub const ALL: &[&Scenario] = &[
    &retry_budget::SCENARIO,
    &jitter::SCENARIO,
    &queue_burst::SCENARIO,
    &deadline::SCENARIO,
    &fan_out::SCENARIO,
    &stampede::SCENARIO,
    &breaker::SCENARIO,
    &retry_storm::SCENARIO,
    &cold_start::SCENARIO,
    &orders::SCENARIO,
];
