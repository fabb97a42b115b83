use std::{
    fmt,
    hash::Hash,
    sync::Arc,
    task::{Context, Poll},
};

use donjon_core::{Key, Reject};
use donjon_store::{Answer, Lookup, MemoryStore};
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    ByTtl, CacheStore, Form, Retention, Values,
    changes::Changes,
    claim::Claim,
    core::State,
    future::{ResponseFuture, serve},
    miss::{Miss, Sorted},
    stats::count,
};

/// A service whose answers are cached. Made by [`CacheLayer`](crate::CacheLayer).
///
/// `X` extracts the key `K`, `V` is what is stored, `F` is the [`Form`], `P` the [`Retention`], `St` the store.
pub struct Cache<S, X, K, V, F = Values, P = ByTtl, St = MemoryStore<K, V>> {
    inner: S,
    state: Arc<State<K, V, St>>,
    key: X,
    form: F,
    policy: P,
    bypass: bool,
}

// ===== impl Cache =====

impl<S, X, K, V, F, P, St> Cache<S, X, K, V, F, P, St> {
    pub(crate) fn new(inner: S, state: Arc<State<K, V, St>>, key: X, form: F, policy: P, bypass: bool) -> Self {
        Self { inner, state, key, form, policy, bypass }
    }

    /// The service inside.
    pub fn inner_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, X, R, F, P, St> Service<R> for Cache<S, X, X::Key, F::Value, F, P, St>
where
    S: Service<R> + Clone + Send + 'static,
    S::Error: Reject + Send + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
    X: Key<R>,
    X::Key: Hash + Eq + Clone + Send + Sync + 'static,
    F: Form<R, S::Response, S::Error> + Clone + Send + Sync + 'static,
    F::Capture: Send,
    P: Retention<X::Key, F::Value> + Clone + Send + 'static,
    St: CacheStore<X::Key, F::Value>,
{
    type Response = F::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, R, X::Key, F, P, St>;

    /// Always ready: a clone of the inner service is readied inside the call, if there is one to make.
    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let core = self.state.core();
        let key = if self.bypass { None } else { self.key.key(&request) };
        let Some(key) = key else {
            return self.pass(request);
        };
        core.control.deposit();
        let brought = core.counters.brought();
        let now = Instant::now();
        let looked = core.store.lookup(&key, now);
        match &looked {
            // Counted before the value is taken out: nothing can go wrong after that, so no more than the value is moved.
            Answer::Now(Ok(Lookup::Fresh(found))) if !core.control.is_due(found, now) => core.counters.hits.count(),
            _ => return self.miss(key, request, now, brought, looked),
        }
        let Answer::Now(Ok(Lookup::Fresh(found))) = looked else { unreachable!("it is fresh") };
        ResponseFuture::found(serve::<F, R, S::Response, S::Error>(&self.form, found, now))
    }
}

impl<S, X, K, V, F, P, St> Cache<S, X, K, V, F, P, St> {
    /// The call has no key, and goes through.
    #[inline(never)]
    fn pass<R>(&self, request: R) -> ResponseFuture<S, R, K, F, P, St>
    where
        S: Service<R> + Clone,
        F: Form<R, S::Response, S::Error, Value = V> + Clone,
        St: CacheStore<K, V>,
    {
        let core = self.state.core();
        count(&core.counters.bypassed);
        let changes = if self.bypass { None } else { self.form.changes(&request) };
        let changes = changes.map(|tag| Changes::new(Arc::clone(core), tag));
        ResponseFuture::passes(self.inner.clone(), request, self.form.clone(), changes)
    }

    /// What is not a plain hit.
    #[inline(never)]
    fn miss<R>(
        &self,
        key: K,
        request: R,
        now: Instant,
        brought: u64,
        looked: Answer<St::Lookup>,
    ) -> ResponseFuture<S, R, K, F, P, St>
    where
        S: Service<R> + Clone + Send + 'static,
        S::Error: Reject + Send + 'static,
        S::Future: Send + 'static,
        R: Send + 'static,
        K: Hash + Eq + Clone + Send + Sync + 'static,
        V: Clone + Send + Sync + 'static,
        F: Form<R, S::Response, S::Error, Value = V> + Clone + Send + Sync + 'static,
        F::Capture: Send,
        P: Retention<K, V> + Clone + Send + 'static,
        St: CacheStore<K, V>,
    {
        let core = self.state.core();
        let miss = |key, request, brought| Miss {
            state: Arc::clone(&self.state),
            claim: Claim::new(Arc::clone(core), key),
            inner: self.inner.clone(),
            request,
            form: self.form.clone(),
            policy: self.policy.clone(),
            now,
            stale: None,
            brought,
        };
        let looked = match looked {
            Answer::Later(lookup) => return ResponseFuture::looks(lookup, miss(key, request, None)),
            Answer::Now(looked) => looked,
        };
        match Sorted::of(core, looked, now) {
            Sorted::Serve(found, renewal) => {
                let begun = renewal.and_then(|renewal| renewal.begin(core, &key));
                if let Some((refreshing, token)) = begun {
                    refreshing.spawn(self.inner.clone(), request, self.form.clone(), self.policy.clone(), token);
                }
                ResponseFuture::found(serve::<F, R, S::Response, S::Error>(&self.form, found, now))
            }
            Sorted::Call(needed) => ResponseFuture::enters(miss(key, request, Some(brought)).needed(needed)),
        }
    }
}

impl<S, X, K, V, F, P, St> Clone for Cache<S, X, K, V, F, P, St>
where
    S: Clone,
    X: Clone,
    F: Clone,
    P: Clone,
{
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            state: Arc::clone(&self.state),
            key: self.key.clone(),
            form: self.form.clone(),
            policy: self.policy.clone(),
            bypass: self.bypass,
        }
    }
}

impl<S: fmt::Debug, X, K, V, F, P, St> fmt::Debug for Cache<S, X, K, V, F, P, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("inner", &self.inner)
            .field("state", &self.state)
            .field("bypass", &self.bypass)
            .finish_non_exhaustive()
    }
}
