use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use donjon_budget::{Budget, Share};
use donjon_core::Fresh;
use tower_layer::Layer;

use crate::{Delay, Hedge, HedgeHandle, Standard, call::Config, state::State};

/// Sends a call that is late once more, and takes the first answer: the recipe. See the [crate's documentation](crate)
/// for an example.
///
/// Its clones, and every service that it has made, share what was learned, the share of the budget, and the counters.
/// The setters change the value that they return, and no clone that was taken before.
#[derive(Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct HedgeLayer<P = Standard> {
    policy: P,
    share: Share,
    /// Whoever gave the budget shares it with other layers, and so do the fresh forms of this one.
    budget: Budget,
    state: Arc<State>,
    bypass: bool,
}

// ===== impl HedgeLayer =====

impl<P> HedgeLayer<P> {
    /// Hedges as this policy says, with the learned delay, at most two hedges a call, and 2 % in all: the share of a
    /// [`Budget::new`] of its own.
    pub fn new(policy: P) -> Self {
        let budget = Budget::new();
        let delay = Delay::learned();
        let copies = delay.copies();
        Self { policy, share: budget.share(), budget, state: Arc::new(State::new(delay, copies)), bypass: false }
    }

    /// When a call is late. Default: [`Delay::learned`].
    pub fn delay(mut self, delay: Delay) -> Self {
        let copies = delay.copies();
        self.state = Arc::new(State::new(delay, copies));
        self
    }

    /// Hedges are paid for by the share of this budget, which other layers may draw on as well. Default: a
    /// [`Budget::new`] of its own.
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.share = budget.share();
        self.budget = budget.clone();
        self
    }

    /// The operator's end: figures and knobs of this layer, its clones and their services. Take it after the setters.
    #[must_use]
    pub fn handle(&self) -> HedgeHandle {
        HedgeHandle::new(Arc::clone(&self.state), self.share.clone())
    }

    /// Changes the policy.
    pub(crate) fn map_policy<Q>(self, change: impl FnOnce(P) -> Q) -> HedgeLayer<Q> {
        let Self { policy, share, budget, state, bypass } = self;
        HedgeLayer { policy: change(policy), share, budget, state, bypass }
    }
}

impl<C> HedgeLayer<Standard<C>> {
    /// Another classifier. Default: [`ClassifyRejection`](donjon_core::ClassifyRejection).
    pub fn classify<D>(self, classify: D) -> HedgeLayer<Standard<D>> {
        self.map_policy(|standard| standard.classify(classify))
    }
}

impl<P: Clone> Fresh for HedgeLayer<P> {
    /// The same settings, with nothing learned, counters at zero, and an empty share of a budget of its own.
    fn fresh(&self) -> Self {
        let budget = self.budget.fresh();
        Self {
            policy: self.policy.clone(),
            share: budget.share(),
            budget,
            state: Arc::new(self.state.fresh()),
            bypass: self.bypass,
        }
    }

    /// Calls once, copies nothing, and learns nothing.
    fn bypass(&self) -> Self {
        Self { bypass: true, ..self.fresh() }
    }
}

impl Default for HedgeLayer {
    /// [`HedgeLayer::new`] with [`Standard`].
    fn default() -> Self {
        Self::new(Standard::new())
    }
}

impl<S, P: Clone> Layer<S> for HedgeLayer<P> {
    type Service = Hedge<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let config = Config {
            policy: self.policy.clone(),
            share: self.share.clone(),
            state: Arc::clone(&self.state),
            bypass: self.bypass,
        };
        Hedge::new(inner, Arc::new(config))
    }
}

impl<P: fmt::Debug> fmt::Debug for HedgeLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeLayer")
            .field("policy", &self.policy)
            .field("delay", &self.state.delay)
            .field("max_hedges", &self.state.max_hedges.load(Ordering::Relaxed))
            .field("bypass", &self.bypass)
            .finish_non_exhaustive()
    }
}
