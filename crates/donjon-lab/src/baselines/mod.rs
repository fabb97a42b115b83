//! Policies of other projects and languages, written down once, so that scenes can compare with them.
//!
//! Each follows its source in what it decides, and in nothing else: they are plain state that is told the time. Their
//! tests (`tests/it/baselines.rs`) are the published rows of those projects' own tests. What other crates have for
//! Rust is taken from those crates ([`world::peers`](crate::world::peers)).
//!
//! # Which published rows are checked where
//!
//! Tests that follow a published row are named by its number.
//!
//! | | published row | checked in |
//! |---|---|---|
//! | T1, T2 | AWS SDKs' retry token bucket, standard mode 2.0 and 2.1 | `donjon-budget` |
//! | T3 | AWS SDKs' adaptive mode: cubic rate | here ([`client_rate`], [`formulas`]) |
//! | T4 | gRPC's retry throttling, its pushback | `donjon-budget`, `donjon-http` |
//! | T5 | Finagle's retry budget | `donjon-budget`, here ([`retry_budget`]) |
//! | T6 | Netflix's AIMD and Vegas | here ([`concurrency`]) |
//! | T7 | Envoy's gradient controller | here ([`gradient`], [`formulas`]) |
//! | T8 | resilience4j's windows | `donjon-breaker`, here ([`breaker`]) |
//! | T9 | folly's CoDel | here ([`codel`]) |
//! | T10 | tower's peak EWMA | here ([`balance`]) |
//! | T11 | the SRE book's and Envoy's client throttling | `donjon-breaker`, here ([`formulas`]) |
//! | T12 | gRPC A50's ejection by success rate | here ([`ejection`], [`formulas`]) |

pub mod balance;
pub mod breaker;
pub mod client_rate;
pub mod codel;
pub mod concurrency;
pub mod ejection;
pub mod formulas;
pub mod gradient;
pub mod retry_budget;
