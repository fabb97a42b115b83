//! The tests of `donjon-core`.

mod alloc;
mod call_error;
mod clock;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "metrics")]
mod metrics;
mod ratio;
mod reject;
mod rejection;
mod replay;
mod scope;
mod scope_model;
mod traits;
