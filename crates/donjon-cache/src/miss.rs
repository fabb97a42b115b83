use std::{hash::Hash, sync::Arc};

use donjon_core::Reject;
use donjon_store::{Answer, FillToken, Found, Freshness, Lookup, Store};
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    CacheStore, Form, Retention,
    claim::Claim,
    core::{Core, State},
    refresh::Refreshing,
    stats::count,
    types::RoleOf,
};

/// A call that has not found what it can have at once: all that it takes to make it.
pub(crate) struct Miss<S, R, K, V, F, P, St>
where
    St: Store<K, V>,
{
    pub(crate) state: Arc<State<K, V, St>>,
    /// Of its key. Whoever makes no call gives back what was granted.
    pub(crate) claim: Claim<K, V, St>,
    pub(crate) inner: S,
    pub(crate) request: R,
    pub(crate) form: F,
    pub(crate) policy: P,
    /// When it was looked up.
    pub(crate) now: Instant,
    /// What may be served if the call fails.
    pub(crate) stale: Option<Found<V>>,
    /// How much had been brought to the store before that. Only of a store that answers at once: it is not much to ask
    /// that again.
    pub(crate) brought: Option<u64>,
}

/// What is to be done after a lookup.
pub(crate) enum Sorted<V> {
    /// To serve this value, and to refresh it if it is time.
    Serve(Found<V>, Option<Renewal>),
    /// To make the call, or to join it.
    Call(Needed<V>),
}

/// It is time for the next value, with the token of the lookup, if that has given one.
pub(crate) struct Renewal(Option<FillToken>);

/// What a lookup has left to a call.
pub(crate) struct Needed<V> {
    token: Option<FillToken>,
    stale: Option<Found<V>>,
}

// ===== impl Sorted =====

impl<V> Sorted<V> {
    /// Sorts what the store has said.
    pub(crate) fn of<K, St>(core: &Core<K, V, St>, looked: Result<Lookup<V>, St::Error>, now: Instant) -> Self
    where
        St: Store<K, V>,
    {
        let mut needed = Needed { token: None, stale: None };
        match looked {
            Ok(Lookup::Fresh(found)) => {
                core.counters.hits.count();
                let renewal = core.control.is_due(&found, now).then_some(Renewal(None));
                return Self::Serve(found, renewal);
            }
            Ok(Lookup::Stale(found, token)) => {
                if core.control.serves_at_once(&found, now) {
                    count(&core.counters.stale);
                    // Where another one, on another machine, already makes the next value, nobody else has to.
                    return Self::Serve(found, token.is_leader().then_some(Renewal(Some(token))));
                }
                needed = Needed { token: Some(token), stale: Some(found) };
            }
            Ok(Lookup::Miss(token)) => needed.token = Some(token),
            // A store may have more to say one day; without a token nothing is brought to it.
            Ok(_) => {}
            Err(_) => count(&core.counters.store_errors),
        }
        count(&core.counters.misses);
        Self::Call(needed)
    }
}

// ===== impl Renewal =====

impl Renewal {
    /// The right to refresh this key, if nobody does; what the lookup has granted goes back otherwise.
    pub(crate) fn begin<K, V, St>(
        self,
        core: &Arc<Core<K, V, St>>,
        key: &K,
    ) -> Option<(Refreshing<K, V, St>, Option<FillToken>)>
    where
        K: Hash + Eq + Clone,
        St: Store<K, V>,
    {
        let refreshing = Refreshing::begin(core, key);
        if let (None, Some(token)) = (&refreshing, self.0) {
            core.store.abandon(key, token);
        }
        Some((refreshing?, self.0))
    }
}

// ===== impl Miss =====

impl<S, R, K, F, P, St> Miss<S, R, K, F::Value, F, P, St>
where
    S: Service<R> + Send + 'static,
    S::Error: Reject + Send + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
    K: Hash + Eq + Clone + Send + Sync + 'static,
    F: Form<R, S::Response, S::Error> + Clone + Send + Sync + 'static,
    F::Capture: Send,
    P: Retention<K, F::Value> + Clone + Send + 'static,
    St: CacheStore<K, F::Value>,
{
    /// With what the lookup has left.
    pub(crate) fn needed(mut self, needed: Needed<F::Value>) -> Self {
        if let Some(token) = needed.token {
            self.claim.grant(token, needed.stale.is_some());
        }
        self.stale = needed.stale;
        self
    }

    /// Uses this call for a refresh, unless one runs already.
    pub(crate) fn renew(self, renewal: Renewal) {
        if let Some((refreshing, token)) = renewal.begin(self.state.core(), self.claim.key()) {
            refreshing.spawn(self.inner, self.request, self.form, self.policy, token);
        }
    }

    /// Takes part in the call of the key, or is to start it.
    #[inline]
    pub(crate) fn enter(&self) -> RoleOf<S, R, K, F> {
        let flights = self.state.core().flights.flights();
        flights.into_role(self.claim.key().clone())
    }

    /// Somebody may have brought the value since it was looked up, and have ended before this one has entered. If nobody
    /// has brought any value since, nobody has: who ends counts what it has brought before the key is free again.
    #[inline]
    pub(crate) fn look_again(&mut self) -> Option<Found<F::Value>> {
        let brought = self.brought?;
        if self.state.core().counters.brought() == brought { None } else { self.look() }
    }

    #[inline(never)]
    fn look(&mut self) -> Option<Found<F::Value>> {
        let Answer::Now(Ok(looked)) = self.state.core().store.lookup(self.claim.key(), self.now) else { return None };
        if let Some(token) = looked.token().filter(|token| token.is_leader() || !self.claim.is_granted()) {
            self.claim.renew(token);
        }
        // It was looked up with the time of then.
        looked.fresh().filter(|found| found.at(Instant::now()) == Freshness::Fresh)
    }
}
