use std::{fmt, sync::Arc};

use donjon_core::Fresh;
use tower_layer::Layer;

use crate::{Anything, Classified, Coalesce, Handle, control::Control, registry::Registry};

/// Makes one call for many: while the call of a key is in flight, others with that key join it.
///
/// Clones share the calls in flight, and so do all services that they make. See the [crate](crate) for what it does.
/// `X` extracts the key, and `P` says what is shared: see [`Share`](crate::Share).
#[derive(Clone)]
#[must_use]
pub struct CoalesceLayer<X, P = Anything> {
    registry: Arc<Registry>,
    key: X,
    share: P,
    bypass: bool,
}

// ===== impl CoalesceLayer =====

impl<X> CoalesceLayer<X> {
    /// Calls of requests with the same key are made once. A request without a key goes through alone.
    ///
    /// **The key decides who shares an answer.** Whatever the answer depends on has to be in it: the method, the
    /// arguments, and the user, unless the answer is the same for all. A key of `None` is always safe.
    pub fn new(key: X) -> Self {
        Self { registry: Arc::new(Registry::new(Control::new())), key, share: Anything, bypass: false }
    }
}

impl<X, P> CoalesceLayer<X, P> {
    /// What followers get: another [`Share`](crate::Share) than [`Anything`].
    pub fn share<Q>(self, share: Q) -> CoalesceLayer<X, Q> {
        CoalesceLayer { registry: self.registry, key: self.key, share, bypass: self.bypass }
    }

    /// The outcome of a failure, as followers see it, is said by this [`Classify`](donjon_core::Classify); unless said,
    /// by [`ClassifyRejection`](donjon_core::ClassifyRejection). Every answer is shared.
    pub fn classify<C>(self, classify: C) -> CoalesceLayer<X, Classified<C>> {
        self.share(Classified(classify))
    }

    /// At most this many follow one call at the same time: 1,024 unless said. 0 lets nobody join. Those beyond are
    /// refused as `Overloaded`: to let them through would send to a slow service what it is being spared.
    ///
    /// Part of the shared state: it holds for every clone of this layer.
    pub fn max_followers(self, max: usize) -> Self {
        self.registry.control().set_max_followers(max);
        self
    }

    /// The operator's end of this layer.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(self.registry.control()))
    }
}

impl<S, X: Clone, P: Clone> Layer<S> for CoalesceLayer<X, P> {
    type Service = Coalesce<S, X, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Coalesce::new(inner, Arc::clone(&self.registry), self.key.clone(), self.share.clone(), self.bypass)
    }
}

impl<X: Clone, P: Clone> Fresh for CoalesceLayer<X, P> {
    /// Calls in flight of its own, with the bound that this one has now.
    fn fresh(&self) -> Self {
        Self {
            registry: Arc::new(Registry::new(self.registry.control().fresh())),
            key: self.key.clone(),
            share: self.share.clone(),
            bypass: self.bypass,
        }
    }

    fn bypass(&self) -> Self {
        let mut this = self.fresh();
        this.bypass = true;
        this
    }
}

impl<X, P> fmt::Debug for CoalesceLayer<X, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoalesceLayer")
            .field("registry", &self.registry)
            .field("bypass", &self.bypass)
            .finish_non_exhaustive()
    }
}
