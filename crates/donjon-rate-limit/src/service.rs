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

/// Why a call cannot begin at once.
enum NotYet<L: Limiter, M: Mode> {
    Refused(Refusal, M::Note),
    Waits(Step<L::Turn, L::Later>),
}

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

    /// What a call keeps that goes on at once.
    #[inline(always)]
    fn admit<R>(&self, request: &R) -> Result<M::Note, NotYet<L, M>>
    where
        L: Limiter,
        M: Mode,
        C: Cost<R>,
    {
        if self.settings.bypass {
            return Ok(self.mode.note(None));
        }
        let now = Instant::now();
        if Scope::current().has_passed_at(now) {
            return Err(NotYet::Refused(Refusal::Expired, self.mode.note(None)));
        }
        let ask = Ask::new(now, self.cost.cost(request), self.settings.max_wait);
        Err(match self.limiter.acquire(ask) {
            Answer::Now(Verdict::Admitted(standing)) => return Ok(self.mode.note(Some(standing))),
            Answer::Now(Verdict::Refused { retry_after, standing }) => {
                NotYet::Refused(Refusal::Limited { retry_after }, self.mode.note(standing))
            }
            Answer::Now(Verdict::Wait(turn)) => NotYet::Waits(Step::Queued { turn }),
            Answer::Later(later) => NotYet::Waits(Step::Asked { later }),
        })
    }

    #[cold]
    fn call_later<R>(&mut self, request: R, why: NotYet<L, M>) -> Limited<S, R, L, M>
    where
        S: Service<R> + Clone,
        L: Limiter,
        M: Mode + Clone,
    {
        self.give_back_readiness();
        match why {
            NotYet::Refused(refusal, note) => ResponseFuture::refused(refusal, note),
            NotYet::Waits(step) => {
                let deadline = Deadline::current().instant();
                ResponseFuture::waiting(Waiting::new(self.inner.clone(), request, self.mode.clone(), step, deadline))
            }
        }
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

    // The request is moved once, and what is made is written where it belongs: both are large under HTTP.
    fn call(&mut self, request: R) -> Self::Future {
        let note = match self.admit(&request) {
            Ok(note) => note,
            Err(why) => return self.call_later(request, why),
        };
        ResponseFuture::calling(self.inner.call(request), note)
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
