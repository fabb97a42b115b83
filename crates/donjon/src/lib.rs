//! Tower middleware that still stands when the rest has fallen.

#[cfg(feature = "concurrency-limit")]
pub use donjon_concurrency_limit::ConcurrencyLimitLayer;
pub use donjon_core::*;
#[cfg(feature = "retry")]
pub use donjon_retry::RetryLayer;
#[cfg(feature = "timeout")]
pub use donjon_timeout::{DeadlineLayer, TimeoutLayer};
