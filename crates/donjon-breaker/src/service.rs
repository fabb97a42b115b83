use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll, ready},
};

use donjon_core::{Classify, ClassifyRejection, Reject};
use tokio::time::Instant;
use tower_service::Service;

use crate::{circuit::Refused, future::ResponseFuture, running::Running, shares::Shares, wait::Wait};

/// A service that is not called while it fails. Made by [`BreakerLayer`](crate::BreakerLayer).
pub struct Breaker<S, C = ClassifyRejection> {
    inner: S,
    shares: Arc<Shares<C>>,
    /// While it is not ready, with backpressure.
    wait: Option<Box<Wait>>,
}

// ===== impl Breaker =====

impl<S, C> Breaker<S, C> {
    pub(crate) const fn new(inner: S, shares: Arc<Shares<C>>) -> Self {
        Self { inner, shares, wait: None }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Waits until a call would be let in.
    fn poll_gate(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.shares.config().circuit.admits_all() {
            self.wait = None;
            return Poll::Ready(());
        }
        let wait = self.wait.get_or_insert_with(|| Box::new(Wait::new(Arc::clone(&self.shares.config().circuit))));
        ready!(wait.poll(cx));
        self.wait = None;
        Poll::Ready(())
    }
}

impl<S: Clone, C> Breaker<S, C> {
    /// This call has no use for the instance that was readied: whatever that one reserved is given back.
    #[cold]
    fn refused<F>(&mut self, refused: Refused) -> ResponseFuture<F, C> {
        let clone = self.inner.clone();
        drop(mem::replace(&mut self.inner, clone));
        ResponseFuture::refused(refused)
    }
}

impl<S, C, R> Service<R> for Breaker<S, C>
where
    S: Service<R> + Clone,
    S::Error: Reject,
    C: Classify<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, C>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let config = self.shares.config();
        if config.backpressure && !config.bypass {
            ready!(self.poll_gate(cx));
        }
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let config = self.shares.config();
        if config.bypass {
            return ResponseFuture::calling(self.inner.call(request), Running::free());
        }
        match config.circuit.admit(Instant::now) {
            Ok(ticket) => {
                let started = config.times().then(Instant::now);
                let running = Running::new(self.shares.take(), ticket, started);
                ResponseFuture::calling(self.inner.call(request), running)
            }
            Err(refused) => self.refused(refused),
        }
    }
}

impl<S: Clone, C> Clone for Breaker<S, C> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.shares))
    }
}

impl<S: fmt::Debug, C> fmt::Debug for Breaker<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("inner", &self.inner).field("circuit", &self.shares.config().circuit).finish()
    }
}
