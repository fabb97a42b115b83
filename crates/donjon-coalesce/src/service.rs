use std::{
    fmt,
    hash::Hash,
    sync::Arc,
    task::{Context, Poll},
};

use donjon_core::{Key, Reject};
use tower_service::Service;

use crate::{Anything, Share, control::count, future::ResponseFuture, registry::Registry};

/// A service whose calls are made once for many. Made by [`CoalesceLayer`](crate::CoalesceLayer).
#[derive(Clone)]
pub struct Coalesce<S, X, P = Anything> {
    inner: S,
    registry: Arc<Registry>,
    key: X,
    share: P,
    bypass: bool,
}

// ===== impl Coalesce =====

impl<S, X, P> Coalesce<S, X, P> {
    pub(crate) fn new(inner: S, registry: Arc<Registry>, key: X, share: P, bypass: bool) -> Self {
        Self { inner, registry, key, share, bypass }
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

impl<S, X, P, R> Service<R> for Coalesce<S, X, P>
where
    S: Service<R> + Clone + Send + 'static,
    S::Response: Clone + Send + Sync + 'static,
    S::Error: Reject + Send + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
    X: Key<R>,
    X::Key: Hash + Eq + Clone + Send + Sync + 'static,
    P: Share<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, R, X::Key, P>;

    /// Always ready: a clone of the inner service is readied inside the call, if there is one to make.
    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let key = if self.bypass { None } else { self.key.key(&request) };
        let inner = self.inner.clone();
        match key {
            Some(key) => ResponseFuture::enters(self.registry.flights(), key, inner, request, self.share.clone()),
            None => {
                count(&self.registry.control().passed);
                ResponseFuture::alone(inner, request, self.share.clone())
            }
        }
    }
}

impl<S: fmt::Debug, X, P> fmt::Debug for Coalesce<S, X, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalesce")
            .field("inner", &self.inner)
            .field("registry", &self.registry)
            .field("bypass", &self.bypass)
            .finish_non_exhaustive()
    }
}
