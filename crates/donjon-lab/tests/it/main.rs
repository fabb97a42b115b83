//! The laboratory's own tests: its figures stay where they are, its baselines are their sources', and it repeats itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod baselines;
mod baselines_that_adapt;
mod baselines_that_choose;
mod framework;
mod golden;
mod moved;
