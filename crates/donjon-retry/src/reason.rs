use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Why a call that failed was not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoRetry {
    /// Another attempt would not change the outcome, or an open circuit has refused it: nobody waits for that to close.
    NotRetryable,
    /// Retries are off, for this request or for the whole layer: it may make one attempt.
    Disabled,
    /// The peer may have acted on it, and acting twice is not the same as once.
    NotIdempotent,
    /// The request cannot be sent again; says why.
    NotReplayable(&'static str),
    /// It has had all its attempts.
    AttemptsExhausted,
    /// The deadline would have passed before the retry could start.
    DeadlineTooClose,
    /// The service asked for a longer wait than the layer agrees to, or not to be called again.
    WaitTooLong,
    /// The budget of extra load is used up.
    BudgetExhausted,
    /// The service was to be called again, and did not become ready.
    NotReady,
}

/// How a call went that did not simply succeed at its first attempt: in the extensions of an HTTP response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RetryInfo {
    /// Attempts made, the first one included.
    pub attempts: u32,
    /// Why there was no further attempt; `None` if the last one succeeded.
    pub reason: Option<NoRetry>,
}

/// Asks for the [`RetryInfo`] of one call, whichever way it ends: keep a clone and put another into the request's
/// extensions.
///
/// ```
/// use donjon_retry::RetryReport;
///
/// let report = RetryReport::new();
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(report.clone());
/// assert_eq!(report.info(), None, "not called yet");
/// ```
#[derive(Clone, Default)]
pub struct RetryReport(Arc<Mutex<Option<RetryInfo>>>);

// ===== impl NoRetry =====

impl NoRetry {
    /// How many reasons there are.
    pub(crate) const COUNT: usize = Self::ALL.len();

    /// Every reason once, for whoever counts by it; [`NotReplayable`](Self::NotReplayable) with an empty phrase.
    pub const ALL: [Self; 9] = [
        Self::NotRetryable,
        Self::Disabled,
        Self::NotIdempotent,
        Self::NotReplayable(""),
        Self::AttemptsExhausted,
        Self::DeadlineTooClose,
        Self::WaitTooLong,
        Self::BudgetExhausted,
        Self::NotReady,
    ];

    /// A short stable name, for logs and metrics: `not-idempotent`, `budget-exhausted`, …
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRetryable => "not-retryable",
            Self::Disabled => "disabled",
            Self::NotIdempotent => "not-idempotent",
            Self::NotReplayable(_) => "not-replayable",
            Self::AttemptsExhausted => "attempts-exhausted",
            Self::DeadlineTooClose => "deadline-too-close",
            Self::WaitTooLong => "wait-too-long",
            Self::BudgetExhausted => "budget-exhausted",
            Self::NotReady => "not-ready",
        }
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::NotRetryable => 0,
            Self::Disabled => 1,
            Self::NotIdempotent => 2,
            Self::NotReplayable(_) => 3,
            Self::AttemptsExhausted => 4,
            Self::DeadlineTooClose => 5,
            Self::WaitTooLong => 6,
            Self::BudgetExhausted => 7,
            Self::NotReady => 8,
        }
    }
}

impl fmt::Display for NoRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRetryable => "another attempt would not change the outcome, or a circuit is open",
            Self::Disabled => "retries are off",
            Self::NotIdempotent => "the request is not idempotent and may have been acted on",
            Self::NotReplayable(why) => return write!(f, "the request cannot be sent again: {why}"),
            Self::AttemptsExhausted => "all attempts were made",
            Self::DeadlineTooClose => "the deadline is too close",
            Self::WaitTooLong => "the service asked for too long a wait",
            Self::BudgetExhausted => "the retry budget is exhausted",
            Self::NotReady => "the service did not become ready again",
        })
    }
}

// ===== impl RetryReport =====

impl RetryReport {
    /// An empty report.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How the call went; `None` until it has ended, and if it was dropped.
    #[must_use]
    pub fn info(&self) -> Option<RetryInfo> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, info: RetryInfo) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(info);
    }
}

impl fmt::Debug for RetryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RetryReport").field(&self.info()).finish()
    }
}
