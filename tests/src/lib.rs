//! Helpers shared by the tests over several crates.

pub mod upstream;
