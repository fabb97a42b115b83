use std::time::Duration;

/// What came of a call: decided once, by a [`Classify`](crate::Classify), and read by retry, breaker, adaptive limit,
/// balance and hedge alike.
///
/// The enum is exhaustive on purpose: a policy that does not say what it does with an outcome should not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The service did its work; that includes telling a caller that the caller is wrong (a 404, a 422).
    Success,
    /// It failed, and another attempt may do better.
    Transient {
        /// Whether the peer can have acted on it.
        sent: Sent,
        /// After how long another attempt has a chance, if the peer said.
        retry_after: Option<Duration>,
    },
    /// The service works, and wants less traffic from this caller (429).
    Throttled {
        /// After how long another attempt has a chance, if the peer said.
        retry_after: Option<Duration>,
    },
    /// One of our own layers refused, and nothing was sent. Breakers, adaptive limits and load figures ignore it; a
    /// retry may follow within the budget.
    Refused {
        /// After how long another attempt has a chance, if the layer said.
        retry_after: Option<Duration>,
    },
    /// It failed in a way that another attempt cannot change.
    Permanent,
    /// The caller left before there was an answer.
    Cancelled,
}

/// Whether the peer can have acted on a call that failed. Exhaustive on purpose, as [`Outcome`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Nothing reached the peer's application (connection refused, cancelled before it was written, HTTP/2
    /// `REFUSED_STREAM`): any method may be sent again.
    NotSent,
    /// It may or may not have acted: only what is idempotent may be sent again.
    Unknown,
    /// It answered: only what is idempotent may be sent again.
    Answered,
}

// ===== impl Outcome =====

impl Outcome {
    /// After how long another attempt has a chance, if anybody said. [`Duration::MAX`] is never: not to be called again.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match *self {
            Self::Transient { retry_after, .. } | Self::Throttled { retry_after } | Self::Refused { retry_after } => {
                retry_after
            }
            Self::Success | Self::Permanent | Self::Cancelled => None,
        }
    }

    /// Whether the service did its work.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Success)
    }

    /// Whether a request that is not idempotent may be sent again: the peer cannot have acted on it.
    #[must_use]
    pub const fn is_unsent(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Transient { sent: Sent::NotSent, .. })
    }
}
