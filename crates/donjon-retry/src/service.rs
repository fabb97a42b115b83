use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use donjon_core::{Reject, Scope};
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    NoRetry, Policy, ResponseFuture, Standard,
    call::{Again, Call},
    state::Config,
};

/// Calls `S` again what failed. Made by [`RetryLayer`](crate::RetryLayer).
///
/// It is ready when `S` is. The instance that was readied makes the first attempt; a retry readies a clone, after its
/// wait, and only then.
pub struct Retry<S, P = Standard> {
    inner: S,
    config: Arc<Config<P>>,
}

// ===== impl Retry =====

impl<S, P> Retry<S, P> {
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

impl<S, P, Req> Service<Req> for Retry<S, P>
where
    S: Service<Req> + Clone,
    S::Error: Reject,
    P: Policy<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<P, S, Req, S::Future, P::Discard>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        let config = &*self.config;
        if config.settings.bypass {
            let attempt = self.inner.call(req);
            return ResponseFuture::new(attempt, Call::bypass(Arc::clone(&self.config)));
        }

        let plan = config.policy.plan(&req);
        let max_attempts = plan.max_attempts.unwrap_or_else(|| config.state.max_attempts.load(Ordering::Relaxed));
        let again = if max_attempts <= 1 {
            Again::No(NoRetry::Disabled)
        } else {
            match config.policy.replay(&req) {
                Ok(kept) => Again::With { service: self.inner.clone(), kept },
                Err(why) => Again::No(NoRetry::NotReplayable(why.0)),
            }
        };

        let started = config.settings.backoff.needs_rtt().then(Instant::now);
        // The attempt of a retry outside is not ours; where there is none, the ambient scope is right as it is.
        let scoped = Scope::current().attempt() != 1;
        let call = Call::new(Arc::clone(&self.config), plan, max_attempts, again, scoped, started);
        let attempt = call.enter(|| self.inner.call(req));
        ResponseFuture::new(attempt, call)
    }
}

impl<S: Clone, P> Clone for Retry<S, P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), config: Arc::clone(&self.config) }
    }
}

impl<S: fmt::Debug, P: fmt::Debug> fmt::Debug for Retry<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("inner", &self.inner).field("config", &self.config).finish()
    }
}
