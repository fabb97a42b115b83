//! Helpers shared by the tests over several crates.

pub mod upstream;

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
