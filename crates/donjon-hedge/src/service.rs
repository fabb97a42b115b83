use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use crate::{
    Policy, ResponseFuture, Standard,
    call::{Call, Config, Spare},
};

/// Calls `S`, and calls it once more when it is late. Made by [`HedgeLayer`](crate::HedgeLayer).
///
/// It is ready when `S` is. The instance that was readied makes the first call; a hedge readies a clone when it is due,
/// and only then.
pub struct Hedge<S, P = Standard> {
    inner: S,
    config: Arc<Config<P>>,
}

// ===== impl Hedge =====

impl<S, P> Hedge<S, P> {
    pub(crate) const fn new(inner: S, config: Arc<Config<P>>) -> Self {
        Self { inner, config }
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

impl<S, P, Req> Service<Req> for Hedge<S, P>
where
    S: Service<Req> + Clone,
    P: Policy<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<P, S, Req, S::Future, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        let max_hedges = self.config.max_hedges();
        let kept = if max_hedges == 0 { None } else { self.config.policy.replay(&req) };
        let spare = kept.map(|kept| Spare { service: self.inner.clone(), kept, max_hedges });
        let call = Call::new(Arc::clone(&self.config), spare);
        ResponseFuture::new(self.inner.call(req), call)
    }
}

impl<S: Clone, P> Clone for Hedge<S, P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), config: Arc::clone(&self.config) }
    }
}

impl<S: fmt::Debug, P: fmt::Debug> fmt::Debug for Hedge<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge").field("inner", &self.inner).field("config", &self.config).finish()
    }
}
