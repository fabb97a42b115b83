//! Tests over several crates.

mod arrows;
