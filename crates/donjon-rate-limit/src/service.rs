use std::{
    fmt, mem,
    task::{Context, Poll},
};

use donjon_core::{Answer, Deadline, Reject, Scope};
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    Any, Ask, Cost, Limiter, LocalLimiter, Mode, Note, One, Verdict,
    future::{Refusal, ResponseFuture, Step, Waiting},
    layer::Settings,
};

/// A service of which only so much goes on per time. Made by [`RateLimitLayer`](crate::RateLimitLayer).
#[derive(Clone)]
pub struct RateLimit<S, L = LocalLimiter, M = Any, C = One> {
    inner: S,
    limiter: L,
    mode: M,
    cost: C,
    settings: Settings,
}

/// The future of [`RateLimit`], by its parameters.
type Limited<S, R, L, M> = ResponseFuture<
    <S as Service<R>>::Future,
    <M as Mode>::Note,
    Waiting<S, R, M, <L as Limiter>::Turn, <L as Limiter>::Later>,
>;

// ===== impl RateLimit =====

impl<S, L, M, C> RateLimit<S, L, M, C> {
    pub(crate) fn new(inner: S, limiter: L, mode: M, cost: C, settings: Settings) -> Self {
        Self { inner, limiter, mode, cost, settings }
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

    /// This call has no use for the instance that was readied: whatever that one reserved is given back.
    fn give_back_readiness(&mut self)
    where
        S: Clone,
    {
        let clone = self.inner.clone();
        drop(mem::replace(&mut self.inner, clone));
    }

    #[cold]
    fn refused<F, W>(&mut self, refusal: Refusal, note: M::Note) -> ResponseFuture<F, M::Note, W>
    where
        S: Clone,
        M: Mode,
    {
        self.give_back_readiness();
        ResponseFuture::refused(refusal, note)
    }

    #[cold]
    fn waiting<R>(&mut self, request: R, step: Step<L::Turn, L::Later>) -> Limited<S, R, L, M>
    where
        S: Service<R> + Clone,
        L: Limiter,
        M: Mode + Clone,
    {
        self.give_back_readiness();
        let deadline = Deadline::current().instant();
        ResponseFuture::waiting(Waiting::new(self.inner.clone(), request, self.mode.clone(), step, deadline))
    }
}

impl<S, L, M, C, R> Service<R> for RateLimit<S, L, M, C>
where
    S: Service<R> + Clone,
    S::Error: Reject,
    L: Limiter,
    M: Mode<Note: Note<S::Response>> + Clone,
    C: Cost<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Limited<S, R, L, M>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        if self.settings.bypass {
            return ResponseFuture::calling(self.inner.call(request), self.mode.note(None));
        }
        let now = Instant::now();
        if Scope::current().has_passed_at(now) {
            return self.refused(Refusal::Expired, self.mode.note(None));
        }
        let ask = Ask::new(now, self.cost.cost(&request), self.settings.max_wait);
        match self.limiter.acquire(ask) {
            Answer::Now(Verdict::Admitted(standing)) => {
                ResponseFuture::calling(self.inner.call(request), self.mode.note(Some(standing)))
            }
            Answer::Now(Verdict::Refused { retry_after, standing }) => {
                self.refused(Refusal::Limited { retry_after }, self.mode.note(standing))
            }
            Answer::Now(Verdict::Wait(turn)) => self.waiting(request, Step::Queued { turn }),
            Answer::Later(later) => self.waiting(request, Step::Asked { later }),
        }
    }
}

impl<S: fmt::Debug, L: fmt::Debug, M: fmt::Debug, C> fmt::Debug for RateLimit<S, L, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("limiter", &self.limiter)
            .field("mode", &self.mode)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
