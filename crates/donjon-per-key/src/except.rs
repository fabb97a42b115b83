use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use donjon_core::Fresh;
use tower_layer::Layer;
use tower_service::Service;

/// A layer for all calls but those that a predicate leaves out: `/health`, say.
///
/// A call that is left out goes through the [bypass](Fresh::bypass) of the layer: it takes no permit, waits in no queue,
/// and is counted nowhere. All others go through the layer itself, whose state is shared as ever. Several layers in a
/// tuple are one.
///
/// What a clone of the layer that was given here does, and its handle, is not changed by any of this.
///
/// # Example
///
/// ```
/// use donjon_concurrency_limit::ConcurrencyLimitLayer;
/// use donjon_core::Rejection;
/// use donjon_per_key::ExceptLayer;
/// use http::Request;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let limit = ConcurrencyLimitLayer::new(0); // Refuses all.
/// let limit = ExceptLayer::new(|request: &Request<()>| request.uri().path() == "/health", limit);
/// let service = limit.layer(service_fn(|_: Request<()>| async { Ok::<_, Rejection>("up") }));
///
/// let get = |path| service.clone().oneshot(Request::get(path).body(()).expect("it is a path"));
/// assert_eq!(get("/health").await?, "up");
/// assert!(get("/search").await.is_err());
/// # Ok::<(), Rejection>(()) }).unwrap();
/// ```
#[derive(Clone)]
#[must_use]
pub struct ExceptLayer<P, L> {
    except: P,
    layers: Arc<Layers<L>>,
}

/// A service whose calls go through a layer, or past it. Made by [`ExceptLayer`].
pub struct Except<S, P, L> {
    inner: S,
    except: P,
    layers: Arc<Layers<L>>,
}

struct Layers<L> {
    layer: L,
    bypass: L,
}

// ===== impl ExceptLayer =====

impl<P, L: Fresh> ExceptLayer<P, L> {
    /// Calls go through `layer`, except those for which `except(&request)` is true.
    pub fn new(except: P, layer: L) -> Self {
        let bypass = layer.bypass();
        Self { except, layers: Arc::new(Layers { layer, bypass }) }
    }
}

impl<P, L> ExceptLayer<P, L> {
    /// The layer that calls go through, unless they are left out: its handle can be reached through it.
    #[must_use]
    pub fn get_ref(&self) -> &L {
        &self.layers.layer
    }
}

impl<S, P: Clone, L: Layer<S>> Layer<S> for ExceptLayer<P, L> {
    type Service = Except<S, P, L>;

    fn layer(&self, inner: S) -> Self::Service {
        Except { inner, except: self.except.clone(), layers: Arc::clone(&self.layers) }
    }
}

impl<P: Clone, L: Fresh> Fresh for ExceptLayer<P, L> {
    fn fresh(&self) -> Self {
        Self::new(self.except.clone(), self.layers.layer.fresh())
    }

    fn bypass(&self) -> Self {
        Self::new(self.except.clone(), self.layers.layer.bypass())
    }

    fn is_held(&self) -> bool {
        Arc::strong_count(&self.layers) > 1 || self.layers.layer.is_held()
    }

    fn memory(&self) -> Duration {
        self.layers.layer.memory()
    }
}

impl<P, L: fmt::Debug> fmt::Debug for ExceptLayer<P, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExceptLayer").field("layer", &self.layers.layer).finish_non_exhaustive()
    }
}

// ===== impl Except =====

impl<S, P, L> Except<S, P, L> {
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

impl<S, P, L, R> Service<R> for Except<S, P, L>
where
    S: Service<R> + Clone,
    P: Fn(&R) -> bool,
    L: Layer<S>,
    L::Service: Service<R, Error = S::Error>,
{
    type Response = <L::Service as Service<R>>::Response;
    type Error = S::Error;
    type Future = <L::Service as Service<R>>::Future;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let Layers { layer, bypass } = &*self.layers;
        let layer = if (self.except)(&request) { bypass } else { layer };
        // The layer is laid around the instance that was readied, for this one call.
        let clone = self.inner.clone();
        layer.layer(mem::replace(&mut self.inner, clone)).call(request)
    }
}

impl<S: Clone, P: Clone, L> Clone for Except<S, P, L> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), except: self.except.clone(), layers: Arc::clone(&self.layers) }
    }
}

impl<S: fmt::Debug, P, L: fmt::Debug> fmt::Debug for Except<S, P, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Except").field("inner", &self.inner).field("layer", &self.layers.layer).finish_non_exhaustive()
    }
}
