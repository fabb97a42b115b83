use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use donjon_core::{Classify, ClassifyRejection, Outcome};
use tower_service::Service;

use crate::{Answer, ResponseFuture, Source, handle::Counters};

/// Calls `S`, and answers otherwise where it has failed. Made by [`FallbackLayer`](crate::FallbackLayer).
///
/// It is ready when `S` is, and calls the instance that was readied.
#[derive(Clone)]
pub struct Fallback<S, P, C = ClassifyRejection> {
    inner: S,
    source: P,
    config: Config<C>,
    bypass: bool,
}

/// What a call needs to know when the inner one has ended.
#[derive(Clone)]
pub(crate) struct Config<C> {
    pub(crate) classify: C,
    pub(crate) on: Option<Predicate>,
    pub(crate) counters: Arc<Counters>,
}

/// Which outcomes are asked for.
#[derive(Clone)]
pub(crate) struct Predicate(Arc<dyn Fn(&Outcome) -> bool + Send + Sync>);

// ===== impl Fallback =====

impl<S, P, C> Fallback<S, P, C> {
    pub(crate) const fn new(inner: S, source: P, config: Config<C>, bypass: bool) -> Self {
        Self { inner, source, config, bypass }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, P, C, R> Service<R> for Fallback<S, P, C>
where
    S: Service<R>,
    P: Source<R>,
    P::Kept: Answer<S::Response, S::Error>,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, P::Kept, <P::Kept as Answer<S::Response, S::Error>>::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        if self.bypass {
            return ResponseFuture::bypass(self.inner.call(request));
        }
        let kept = self.source.keep(&request);
        ResponseFuture::new(self.inner.call(request), kept, self.config.clone())
    }
}

impl<S: fmt::Debug, P: fmt::Debug, C> fmt::Debug for Fallback<S, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("inner", &self.inner)
            .field("source", &self.source)
            .field("counters", &self.config.counters)
            .finish_non_exhaustive()
    }
}

// ===== impl Config =====

impl<C> Config<C> {
    /// Whether a call that has ended like this is to be answered for.
    pub(crate) fn is_asked_for(&self, outcome: &Outcome) -> bool {
        match &self.on {
            Some(predicate) => (predicate.0)(outcome),
            None => !matches!(outcome, Outcome::Success | Outcome::Cancelled),
        }
    }
}

// ===== impl Predicate =====

impl Predicate {
    pub(crate) fn new(asked_for: impl Fn(&Outcome) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(asked_for))
    }
}
