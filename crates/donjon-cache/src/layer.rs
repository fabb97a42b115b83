use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use donjon_budget::Budget;
use donjon_core::{Fresh, Ratio};
use donjon_store::MemoryStore;
use tower_layer::Layer;

use crate::{
    ByTtl, Cache, Handle, Values,
    control::Control,
    core::{ByKey, State},
};

/// Caches answers. See the [crate](crate) for what it does.
///
/// Clones share the store, the calls in flight, the refreshes and the settings that are durations or numbers, and so do
/// all services that they make.
///
/// `X` extracts the key `K`, `V` is what is stored, `F` is the [`Form`](crate::Form), `P` the
/// [`Retention`](crate::Retention), `St` the store. `K` and `V` need not be written where they can be inferred.
#[must_use]
pub struct CacheLayer<X, K, V, F = Values, P = ByTtl, St = MemoryStore<K, V>> {
    state: Arc<State<K, V, St>>,
    key: X,
    form: F,
    policy: P,
    bypass: bool,
}

/// How many entries there are at most, unless said.
const CAPACITY: u64 = 10_000;

// ===== impl CacheLayer =====

impl<X, K, V> CacheLayer<X, K, V>
where
    K: Eq + Hash,
    V: Clone,
{
    /// Caches the responses of any service whose responses are `Clone`: put what is large behind an `Arc`. A request
    /// without a key goes through.
    ///
    /// Unless said: 10,000 entries in memory, fresh for 60 s, never served stale.
    ///
    /// **The key decides who shares an answer.** Whatever the answer depends on has to be in it: the method, the
    /// arguments, and the user, unless the answer is the same for all. Only what may be answered without being done is to
    /// have a key. `None` is always safe.
    pub fn new(key: X) -> Self {
        Self::from_parts(key, Values::default(), MemoryStore::new(CAPACITY), ByKey::NOTHING)
    }
}

impl<X, K, V, C, P> CacheLayer<X, K, V, Values<C>, P>
where
    K: Eq + Hash,
    V: Clone,
{
    /// At most this many entries, in memory; 0 stores nothing. For a bound by weight give it a
    /// [`MemoryStore::weighing`] by [`store`](Self::store).
    pub fn capacity(self, entries: u64) -> Self {
        self.store(MemoryStore::new(entries))
    }
}

impl<X, K, V, F, St> CacheLayer<X, K, V, F, ByTtl, St> {
    pub(crate) fn from_parts(key: X, form: F, store: St, by_key: ByKey<K>) -> Self {
        let state = Arc::new(State::new(store, Control::new(), None, by_key));
        Self { state, key, form, policy: ByTtl, bypass: false }
    }
}

impl<X, K, V, C, P, St> CacheLayer<X, K, V, Values<C>, P, St> {
    /// What is a failure, and what an answer, is said by this [`Classify`](donjon_core::Classify); unless said, by
    /// [`ClassifyRejection`](donjon_core::ClassifyRejection), to which every response is a success. See [`Values`].
    pub fn classify<D>(self, classify: D) -> CacheLayer<X, K, V, Values<D>, P, St> {
        CacheLayer {
            state: self.state,
            key: self.key,
            form: Values::new(classify),
            policy: self.policy,
            bypass: self.bypass,
        }
    }
}

impl<X, K, V, F, P, St> CacheLayer<X, K, V, F, P, St> {
    /// Where values live. It starts a state of its own: say it before this layer is cloned, or has made a service.
    pub fn store<T>(self, store: T) -> CacheLayer<X, K, V, F, P, T> {
        CacheLayer {
            state: Arc::new(self.state.over(store)),
            key: self.key,
            form: self.form,
            policy: self.policy,
            bypass: self.bypass,
        }
    }

    /// For how long an answer is fresh: 60 s unless said. Zero: not at all, so that it is only of use
    /// [stale](Self::stale_if_error).
    pub fn ttl(self, ttl: Duration) -> Self {
        self.state.core().control.set_ttl(ttl);
        self
    }

    /// What is kept of each answer, for how long, and with which tags, said by a [`Retention`](crate::Retention): such as
    /// a closure `|key: &K, answer: &V| Keep::new().ttl(..).tag(..)`. Unless said, everything for the TTL.
    pub fn keep<Q>(self, policy: Q) -> CacheLayer<X, K, V, F, Q, St> {
        CacheLayer { state: self.state, key: self.key, form: self.form, policy, bypass: self.bypass }
    }

    /// Each TTL is shortened by a random part of up to this ratio, so that what was stored together does not end together.
    /// Unless said not at all.
    pub fn jitter(self, ratio: Ratio) -> Self {
        self.state.core().control.set_jitter(ratio);
        self
    }

    /// Draws the jitter from this seed, so that a run repeats itself. It starts a state of its own, as
    /// [`store`](Self::store) does. Default: unrepeatable.
    pub fn seed(mut self, seed: u64) -> Self
    where
        St: Fresh,
    {
        self.state = Arc::new(self.state.with_control(|control| control.with_seed(seed)));
        self
    }

    /// For how long a negative answer is fresh: "there is no such thing". Zero, the default: it is not stored. Negative
    /// answers are never served stale.
    pub fn negative_ttl(self, ttl: Duration) -> Self {
        self.state.core().control.set_negative(ttl);
        self
    }

    /// For how long after its TTL a value is served at once, while a task brings the next one. Zero, the default: not.
    pub fn stale_while_revalidate(self, window: Duration) -> Self {
        self.state.core().control.set_stale_while_revalidate(window);
        self
    }

    /// For how long after its TTL a value is served if the call fails: if the outcome of it is a failure, if it is refused,
    /// or if the caller's deadline ends the wait. Zero, the default: for as long as
    /// [`stale_while_revalidate`](Self::stale_while_revalidate) says.
    pub fn stale_if_error(self, window: Duration) -> Self {
        self.state.core().control.set_stale_if_error(window);
        self
    }

    /// Whoever first finds that less than 1.5 times the measured cost of the call is left of a value's TTL lets a task
    /// bring the next one: what is much asked for is never stale, and nobody waits for it. Off unless said.
    pub fn refresh_ahead(self) -> Self {
        self.state.core().control.set_ahead(true);
        self
    }

    /// At most this many refreshes run in the background at a time: 64 unless said. With 0 there are none. A value whose
    /// refresh is not started is served as it would be, and its refresh is left to the next call.
    pub fn max_refreshes(self, max: usize) -> Self {
        self.state.core().control.set_max_refreshes(max);
        self
    }

    /// A refresh that takes longer is given up, and has failed: 60 s unless said. Callers that have joined it go on with its
    /// call. Zero: what is not there at once.
    pub fn refresh_timeout(self, limit: Duration) -> Self {
        self.state.core().control.set_refresh_timeout(limit);
        self
    }

    /// When a refresh has failed, no other one of its key begins for so long, so that an upstream that is down is not
    /// called for every answer that it could not renew: 1 s unless said. Zero: the next call may begin one. Up to 1,024
    /// keys are remembered; beyond that a failure has no pause.
    pub fn refresh_pause(self, pause: Duration) -> Self {
        self.state.core().control.set_refresh_pause(pause);
        self
    }

    /// Refreshes are paid from the share of this budget, in which every call with a key puts its part: 2 % of them unless
    /// said there. A refresh that is not paid for is not started. Unless said they are not paid for. It starts a state of
    /// its own, as [`store`](Self::store) does.
    pub fn budget(mut self, budget: &Budget) -> Self
    where
        St: Fresh,
    {
        self.state = Arc::new(self.state.with_control(|control| control.with_share(budget.share())));
        self
    }

    /// Refreshes are paid from the share of this budget, as with [`budget`](Self::budget), if they are not paid from one
    /// already. What a ready-made stack says of the caches that it is given. It keeps the state, so that handles which
    /// were taken before stay those of this layer.
    pub fn budget_if_none(self, budget: &Budget) -> Self {
        self.state.core().control.share_or_else(|| budget.share());
        self
    }

    /// At most this many wait for one call at the same time: 1,024 unless said. 0 lets nobody join. Those beyond are
    /// refused as `Overloaded`: to let them through would send to a slow service what it is being spared. It starts a
    /// state of its own, as [`store`](Self::store) does.
    pub fn max_followers(mut self, max: usize) -> Self
    where
        St: Fresh,
    {
        self.state = Arc::new(self.state.with_max_followers(max));
        self
    }

    /// The operator's end of this layer.
    #[must_use]
    pub fn handle(&self) -> Handle<K, V, St> {
        Handle::new(Arc::clone(self.state.core()))
    }

    #[cfg(feature = "http")]
    pub(crate) fn map_form<G>(self, form: impl FnOnce(F) -> G) -> CacheLayer<X, K, V, G, P, St> {
        CacheLayer { state: self.state, key: self.key, form: form(self.form), policy: self.policy, bypass: self.bypass }
    }
}

impl<S, X, K, V, F, P, St> Layer<S> for CacheLayer<X, K, V, F, P, St>
where
    X: Clone,
    F: Clone,
    P: Clone,
{
    type Service = Cache<S, X, K, V, F, P, St>;

    fn layer(&self, inner: S) -> Self::Service {
        let state = Arc::clone(&self.state);
        Cache::new(inner, state, self.key.clone(), self.form.clone(), self.policy.clone(), self.bypass)
    }
}

impl<X, K, V, F, P, St> Fresh for CacheLayer<X, K, V, F, P, St>
where
    X: Clone,
    F: Clone,
    P: Clone,
    St: Fresh,
{
    /// An empty store of its own, calls in flight of its own, and the settings that this one has now.
    fn fresh(&self) -> Self {
        let state = Arc::new(self.state.fresh());
        Self { state, ..self.clone() }
    }

    fn bypass(&self) -> Self {
        let state = Arc::new(self.state.over(self.state.core().store.bypass()));
        Self { state, bypass: true, ..self.clone() }
    }
}

impl<X, K, V, F, P, St> Clone for CacheLayer<X, K, V, F, P, St>
where
    X: Clone,
    F: Clone,
    P: Clone,
{
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            key: self.key.clone(),
            form: self.form.clone(),
            policy: self.policy.clone(),
            bypass: self.bypass,
        }
    }
}

impl<X, K, V, F, P, St> fmt::Debug for CacheLayer<X, K, V, F, P, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer").field("state", &self.state).field("bypass", &self.bypass).finish_non_exhaustive()
    }
}
