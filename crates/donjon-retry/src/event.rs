use std::time::Duration;

use donjon_core::Outcome;

use crate::NoRetry;

/// What [`RetryLayer::on_event`](crate::RetryLayer::on_event) is told. A call that succeeds at its first attempt tells
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryEvent {
    /// An attempt failed and another one will follow.
    #[non_exhaustive]
    Retrying {
        /// The attempt that failed; the first one is 1.
        attempt: u32,
        /// How it failed.
        outcome: Outcome,
        /// How long from now the next one starts, if the service is ready then.
        wait: Duration,
    },
    /// A retry succeeded.
    #[non_exhaustive]
    Recovered {
        /// Attempts made, this one included.
        attempts: u32,
    },
    /// The call ends as a failure.
    #[non_exhaustive]
    GaveUp {
        /// Attempts made.
        attempts: u32,
        /// How the last one failed.
        outcome: Outcome,
        /// Why there is no further one.
        reason: NoRetry,
    },
}
