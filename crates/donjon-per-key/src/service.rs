use std::{
    fmt,
    hash::Hash,
    mem,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use donjon_core::{Fresh, Key, Reject, RejectionKind, state_worsened};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    LAYER, Unkeyed,
    future::{ResponseFuture, State},
    kept::Kept,
    layer::{Settings, Shared},
};

/// A service whose calls go through the layer of their key. Made by [`PerKeyLayer`](crate::PerKeyLayer).
pub struct PerKey<S, X, L, K> {
    inner: S,
    key: X,
    shared: Arc<Shared<L, K>>,
    settings: Settings,
}

/// The layer that a call goes through.
enum Chosen<'a, L> {
    Leased(Arc<Kept<L>>),
    Bypass(&'a L),
}

// ===== impl Shared =====

impl<L: Fresh, K: Hash + Eq> Shared<L, K> {
    /// The layer for a call; or why there is none.
    #[inline]
    fn choose(&self, key: impl FnOnce() -> Option<K>, settings: Settings) -> Result<Chosen<'_, L>, RejectionKind> {
        if settings.bypass {
            return Ok(Chosen::Bypass(&self.bypass));
        }
        let (unkeyed, layer, kind) = match key() {
            Some(key) => {
                if let Some(lease) = self.keys.lease(key, || self.make()) {
                    return Ok(Chosen::Leased(lease));
                }
                self.when_full.fetch_add(1, Ordering::Relaxed);
                self.room.was_missing(self.keys.max());
                (settings.when_full, &self.overflow, RejectionKind::Overloaded)
            }
            None => {
                if self.without_key.fetch_add(1, Ordering::Relaxed) == 0 {
                    state_worsened(LAYER, "key", "missing");
                }
                (settings.without_key, &self.keyless, RejectionKind::NoKey)
            }
        };
        match unkeyed {
            Unkeyed::Bypass => Ok(Chosen::Bypass(&self.bypass)),
            Unkeyed::Share => Ok(Chosen::Leased(Arc::clone(layer))),
            Unkeyed::Refuse => Err(kind),
        }
    }

    /// The state of a key for which there is room.
    #[cold]
    fn make(&self) -> Kept<L> {
        self.room.was_found();
        self.template.fresh()
    }
}

// ===== impl PerKey =====

impl<S, X, L, K> PerKey<S, X, L, K> {
    pub(crate) fn new(inner: S, key: X, shared: Arc<Shared<L, K>>, settings: Settings) -> Self {
        Self { inner, key, shared, settings }
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

impl<S, X, L, K, R> Service<R> for PerKey<S, X, L, K>
where
    S: Service<R> + Clone,
    S::Error: Reject,
    X: Key<R, Key = K>,
    K: Hash + Eq,
    L: Layer<S> + Fresh,
    L::Service: Service<R, Error = S::Error>,
{
    type Response = <L::Service as Service<R>>::Response;
    type Error = S::Error;
    type Future = ResponseFuture<<L::Service as Service<R>>::Future, L>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    // The request is moved once, and what is made is written where it belongs: both are large under HTTP.
    fn call(&mut self, request: R) -> Self::Future {
        // The layer of the key is laid around the instance that was readied, for this one call.
        let clone = self.inner.clone();
        let readied = mem::replace(&mut self.inner, clone);
        let (mut service, lease) = match self.shared.choose(|| self.key.key(&request), self.settings) {
            Ok(Chosen::Leased(lease)) => (lease.layer.layer(readied), Some(lease)),
            Ok(Chosen::Bypass(layer)) => (layer.layer(readied), None),
            Err(kind) => return ResponseFuture::refused(kind),
        };
        ResponseFuture { state: State::Calling { future: service.call(request), lease } }
    }
}

impl<S: Clone, X: Clone, L, K> Clone for PerKey<S, X, L, K> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.key.clone(), Arc::clone(&self.shared), self.settings)
    }
}

impl<S: fmt::Debug, X, L: fmt::Debug, K> fmt::Debug for PerKey<S, X, L, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey")
            .field("inner", &self.inner)
            .field("layer", &self.shared.template.layer)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
