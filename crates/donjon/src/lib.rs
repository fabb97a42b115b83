//! Tower middleware that still stands when the rest has fallen.

pub use donjon_core::*;
#[cfg(feature = "concurrency-limit")]
pub use donjon_concurrency_limit::ConcurrencyLimitLayer;
#[cfg(feature = "timeout")]
pub use donjon_timeout::{DeadlineLayer, TimeoutLayer};
