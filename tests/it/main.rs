//! Tests over several crates.

mod arrows;
mod fan_out;
