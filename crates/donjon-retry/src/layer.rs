use std::{fmt, sync::Arc, time::Duration};

use donjon_budget::{Backoff, Budget};
use donjon_core::Fresh;
use tower_layer::Layer;

use crate::{
    Retry, RetryEvent, RetryHandle, Standard,
    state::{Config, Settings, State},
};

/// Calls again what failed: the recipe. See the [crate's documentation](crate) for an example.
///
/// Its clones, and every service that it has made, share the budget, the counters and the knobs. The setters change the
/// value that they return, and no clone that was taken before.
#[derive(Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct RetryLayer<P = Standard> {
    policy: P,
    settings: Settings,
    state: Arc<State>,
}

// ===== impl RetryLayer =====

impl<P> RetryLayer<P> {
    const MAX_ATTEMPTS: u32 = 4;

    /// Retries as this policy says: at most 4 attempts in all, exponential backoff from 50 ms to 20 s with full jitter,
    /// within a [`Budget::new`] of its own.
    pub fn new(policy: P) -> Self {
        Self { policy, settings: Settings::new(), state: Arc::new(State::new(Self::MAX_ATTEMPTS, None)) }
    }

    /// Attempts in all, the first one included. Default 4; 0 and 1 both mean that nothing is sent again.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.state = Arc::new(State::new(attempts, self.state.seed));
        self
    }

    /// How long to wait between attempts. Default: exponential from 50 ms to 20 s, full jitter.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Draws on this budget, which other layers may share. Default: a [`Budget::new`] of its own.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.settings.budget = budget;
        self
    }

    /// The longest `Retry-After` to agree to where no deadline is nearer: a longer one ends the call at once
    /// ([`NoRetry::WaitTooLong`](crate::NoRetry::WaitTooLong)), it is never cut short. Default 60 s; `Duration::MAX`
    /// agrees to all.
    pub fn max_retry_after(mut self, longest: Duration) -> Self {
        self.settings.max_retry_after = longest;
        self
    }

    /// Draws the jitter from this seed, so that a run repeats itself. Default: unrepeatable.
    pub fn seed(mut self, seed: u64) -> Self {
        let attempts = self.state.max_attempts.load(std::sync::atomic::Ordering::Relaxed);
        self.state = Arc::new(State::new(attempts, Some(seed)));
        self
    }

    /// Tells each retry, recovery and failure to `observer`, on the task of the call. It should be quick and must not
    /// block.
    pub fn on_event(mut self, observer: impl Fn(&RetryEvent) + Send + Sync + 'static) -> Self {
        self.settings.observer = Some(Arc::new(observer));
        self
    }

    /// The operator's end: figures and knobs of this layer, its clones and their services. Take it after the setters.
    #[must_use]
    pub fn handle(&self) -> RetryHandle {
        RetryHandle::new(Arc::clone(&self.state), self.settings.budget.clone())
    }

    /// Changes the policy.
    pub(crate) fn map_policy<Q>(self, change: impl FnOnce(P) -> Q) -> RetryLayer<Q> {
        RetryLayer { policy: change(self.policy), settings: self.settings, state: self.state }
    }
}

impl<C> RetryLayer<Standard<C>> {
    /// Another classifier. Default: [`ClassifyRejection`](donjon_core::ClassifyRejection).
    pub fn classify<D>(self, classify: D) -> RetryLayer<Standard<D>> {
        self.map_policy(|standard| standard.classify(classify))
    }
}

impl<P: Clone> Fresh for RetryLayer<P> {
    /// The same settings, with a full budget, counters at zero, and the seed (if there is one) at its start.
    fn fresh(&self) -> Self {
        let mut settings = self.settings.clone();
        settings.budget = settings.budget.fresh();
        Self { policy: self.policy.clone(), settings, state: Arc::new(self.state.fresh()) }
    }

    /// Calls once, reads no outcome, and marks nothing.
    fn bypass(&self) -> Self {
        let mut this = self.fresh();
        this.settings.bypass = true;
        this
    }
}

impl Default for RetryLayer {
    /// [`RetryLayer::new`] with [`Standard`].
    fn default() -> Self {
        Self::new(Standard::new())
    }
}

impl<S, P: Clone> Layer<S> for RetryLayer<P> {
    type Service = Retry<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(
            inner,
            Arc::new(Config {
                policy: self.policy.clone(),
                settings: self.settings.clone(),
                state: Arc::clone(&self.state),
            }),
        )
    }
}

impl<P: fmt::Debug> fmt::Debug for RetryLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("policy", &self.policy)
            .field("max_attempts", &self.state.max_attempts)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
