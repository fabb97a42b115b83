//! The tests of `donjon-timeout`.

mod alloc;
mod attempt;
mod contract;
mod cost;
mod deadline;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod idle;
#[cfg(feature = "http")]
mod propagate;
mod support;
mod traits;
