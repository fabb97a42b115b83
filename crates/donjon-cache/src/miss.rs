use std::{hash::Hash, sync::Arc};

use donjon_coalesce::Role;
use donjon_core::Reject;
use donjon_store::{Answer, FillToken, Found, Freshness, Lookup, Store};
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    CacheStore, Form, Retention,
    claim::Claim,
    core::State,
    fetch::Fetch,
    refresh::Refreshing,
    stats::count,
    types::{PartOf, RoleOf},
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
    /// The store answers at once, so it is not much to ask it again.
    pub(crate) prompt: bool,
}

/// What is to be done after a lookup.
pub(crate) enum Sorted<M, V> {
    /// To serve this value.
    Serve(Found<V>),
    /// To make the call, or to join it.
    Call(M),
}

/// What a call is once it has tried to take part.
pub(crate) enum Part<M, J, V> {
    /// It takes part. Whoever did not start the call keeps what it takes to make one.
    Joined(J, Option<M>),
    /// There is a value after all.
    Found(Found<V>),
    /// Too many take part.
    Full(M),
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
    /// Sorts what the store has said.
    pub(crate) fn sort(mut self, looked: Result<Lookup<F::Value>, St::Error>) -> Sorted<Self, F::Value> {
        let core = Arc::clone(self.state.core());
        match looked {
            Ok(Lookup::Fresh(found)) => {
                core.counters.hits.count();
                if core.control.is_due(&found, self.now) {
                    self.refresh(None);
                }
                return Sorted::Serve(found);
            }
            Ok(Lookup::Stale(found, token)) => {
                if core.control.serves_at_once(&found, self.now) {
                    count(&core.counters.stale);
                    // Where another one, on another machine, already makes the next value, nobody else has to.
                    if token.is_leader() {
                        self.refresh(Some(token));
                    }
                    return Sorted::Serve(found);
                }
                self.claim.grant(token, true);
                self.stale = Some(found);
            }
            Ok(Lookup::Miss(token)) => self.claim.grant(token, false),
            // A store may have more to say one day; without a token nothing is brought to it.
            Ok(_) => {}
            Err(_) => count(&core.counters.store_errors),
        }
        count(&core.counters.misses);
        Sorted::Call(self)
    }

    /// Uses this call for a refresh, unless one runs already.
    fn refresh(self, token: Option<FillToken>) {
        let core = self.state.core();
        match Refreshing::begin(core, self.claim.key()) {
            Some(refreshing) => refreshing.spawn(self.inner, self.request, self.form, self.policy, token),
            None => {
                if let Some(token) = token {
                    core.store.abandon(self.claim.key(), token);
                }
            }
        }
    }

    /// Takes part in the call of the key, or starts it.
    pub(crate) fn enter(self) -> PartOf<S, R, K, F, P, St> {
        let flights = self.state.core().flights.flights();
        let role = flights.into_role(self.claim.key().clone());
        self.take_part(role)
    }

    pub(crate) fn take_part(mut self, role: RoleOf<S, R, K, F>) -> PartOf<S, R, K, F, P, St> {
        let core = self.state.core();
        match role {
            Role::Lead(lead) => {
                if self.prompt
                    && let Some(found) = self.look_again()
                {
                    return Part::Found(found);
                }
                let core = Arc::clone(self.state.core());
                let claim = self.claim.granted();
                let fetch = Fetch::new(core, self.form, self.policy, claim, self.now, self.inner, self.request);
                Part::Joined(lead.run(fetch), None)
            }
            Role::Follow(joined) => {
                count(&core.counters.coalesced);
                Part::Joined(joined, Some(self))
            }
            Role::Full => Part::Full(self),
        }
    }

    /// Somebody may have brought the value since it was looked up, and have ended before this one has entered.
    fn look_again(&mut self) -> Option<Found<F::Value>> {
        let Answer::Now(Ok(looked)) = self.state.core().store.lookup(self.claim.key(), self.now) else { return None };
        if let Some(token) = looked.token().filter(|token| token.is_leader() || !self.claim.is_granted()) {
            self.claim.renew(token);
        }
        // It was looked up with the time of then.
        looked.fresh().filter(|found| found.at(Instant::now()) == Freshness::Fresh)
    }
}
