use donjon_concurrency_limit::{ConcurrencyLimitLayer, Handle, Http as LimitHttp};
use donjon_core::{Figure, Observe};
use donjon_retry::{Http as RetryHttp, RetryHandle, RetryLayer};
use donjon_timeout::{DeadlineLayer, Http as TimeoutHttp, TimeoutHandle, TimeoutLayer};

/// The operator's ends of the layers of a client: figures to read, and knobs that turn while running.
#[derive(Clone, Debug)]
pub struct Handles {
    deadline: TimeoutHandle,
    retry: RetryHandle,
    limit: Handle,
    attempt: TimeoutHandle,
    #[cfg(feature = "cache")]
    cache: Option<super::CacheHandle>,
}

// ===== impl Handles =====

impl Handles {
    pub(super) fn new(
        deadline: &DeadlineLayer<TimeoutHttp>,
        retry: &RetryLayer<RetryHttp>,
        limit: &ConcurrencyLimitLayer<LimitHttp>,
        attempt: &TimeoutLayer<TimeoutHttp>,
    ) -> Self {
        Self {
            deadline: deadline.handle(),
            retry: retry.handle(),
            limit: limit.handle(),
            attempt: attempt.handle(),
            #[cfg(feature = "cache")]
            cache: None,
        }
    }

    #[cfg(feature = "cache")]
    pub(super) fn with_cache(mut self, cache: Option<super::CacheHandle>) -> Self {
        self.cache = cache;
        self
    }

    /// Of the deadline.
    #[must_use]
    pub const fn deadline(&self) -> &TimeoutHandle {
        &self.deadline
    }

    /// Of the retry and its budget.
    #[must_use]
    pub const fn retry(&self) -> &RetryHandle {
        &self.retry
    }

    /// Of the concurrency limit.
    #[must_use]
    pub const fn limit(&self) -> &Handle {
        &self.limit
    }

    /// Of the attempt timeout.
    #[must_use]
    pub const fn attempt_timeout(&self) -> &TimeoutHandle {
        &self.attempt
    }

    /// Of the cache, if there is one.
    #[cfg(feature = "cache")]
    #[must_use]
    pub const fn cache(&self) -> Option<&super::CacheHandle> {
        self.cache.as_ref()
    }
}

/// The figures of each layer. Those of the two timeouts have the label `layer`: `deadline`, `attempt`.
impl Observe for Handles {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        self.deadline.observe(&mut |figure| visit(figure.label("layer", "deadline")));
        self.retry.observe(visit);
        self.limit.observe(visit);
        self.attempt.observe(&mut |figure| visit(figure.label("layer", "attempt")));
        #[cfg(feature = "cache")]
        if let Some(cache) = &self.cache {
            cache.observe(visit);
        }
    }
}
