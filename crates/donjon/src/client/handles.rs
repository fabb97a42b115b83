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
    pub(super) cache: Option<super::CacheHandle>,
    #[cfg(feature = "fallback")]
    pub(super) fallback: Option<donjon_fallback::Handle>,
    #[cfg(feature = "hedge")]
    pub(super) hedge: Option<donjon_hedge::HedgeHandle>,
    #[cfg(feature = "breaker")]
    pub(super) breakers: Option<super::BreakerHandle>,
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
            #[cfg(feature = "fallback")]
            fallback: None,
            #[cfg(feature = "hedge")]
            hedge: None,
            #[cfg(feature = "breaker")]
            breakers: None,
        }
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

    /// Of the fallback, if there is one.
    #[cfg(feature = "fallback")]
    #[must_use]
    pub const fn fallback(&self) -> Option<&donjon_fallback::Handle> {
        self.fallback.as_ref()
    }

    /// Of the hedge, if there is one.
    #[cfg(feature = "hedge")]
    #[must_use]
    pub const fn hedge(&self) -> Option<&donjon_hedge::HedgeHandle> {
        self.hedge.as_ref()
    }

    /// Of the breakers, if there are any. That of one host: `breakers.with(&authority, |it| it.handle())`.
    #[cfg(feature = "breaker")]
    #[must_use]
    pub const fn breakers(&self) -> Option<&super::BreakerHandle> {
        self.breakers.as_ref()
    }
}

/// The figures of each layer, and of the budget that they share. Those of the two timeouts have the label `layer`:
/// `deadline`, `attempt`. Of the breakers there is the number of the hosts that are in each state.
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
        #[cfg(feature = "fallback")]
        if let Some(fallback) = &self.fallback {
            fallback.observe(visit);
        }
        #[cfg(feature = "hedge")]
        if let Some(hedge) = &self.hedge {
            hedge.observe(visit);
        }
        #[cfg(feature = "breaker")]
        if let Some(breakers) = &self.breakers {
            observe_breakers(breakers, visit);
        }
    }
}

/// `donjon_client_breakers`: how many hosts are in each state, by the label `state`; with the figures of the keys. No host
/// has a label of its own: their number is without bound.
#[cfg(feature = "breaker")]
fn observe_breakers(breakers: &super::BreakerHandle, visit: &mut dyn FnMut(Figure)) {
    use donjon_breaker::State;

    breakers.observe(visit);
    let mut states = Vec::new();
    breakers.each(|_, breaker| states.push(breaker.handle().state()));
    for state in State::ALL {
        let hosts = u32::try_from(states.iter().filter(|it| **it == state).count()).unwrap_or(u32::MAX);
        let help = "Hosts whose breaker is in this state.";
        visit(Figure::gauge("donjon_client_breakers", help, hosts.into()).label("state", state.as_str()));
    }
}
