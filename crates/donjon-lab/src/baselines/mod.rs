//! Policies of other projects and languages, written down once, so that scenes can compare with them.
//!
//! Each follows its source in what it decides, and in nothing else: they are plain state that is told the time. Their
//! tests (`tests/it/baselines.rs`) are the published rows of those projects' own tests. What other crates have for
//! Rust is taken from those crates ([`world::peers`](crate::world::peers)).

pub mod breaker;
pub mod codel;
pub mod formulas;
pub mod retry_budget;
