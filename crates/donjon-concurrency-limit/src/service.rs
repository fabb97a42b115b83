use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll, ready},
};

use donjon_core::{Deadline, Reject, Scope};
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    Any, Mode,
    future::{Refusal, ResponseFuture, Running, Until, Waiting},
    layer::Settings,
    permit::{Asked, Permit, Place},
    state::Limiter,
};

/// A service of which only so many calls are in flight at once. Made by
/// [`ConcurrencyLimitLayer`](crate::ConcurrencyLimitLayer).
pub struct ConcurrencyLimit<S, M = Any> {
    inner: S,
    limiter: Arc<Limiter>,
    mode: M,
    settings: Settings,
    /// Always empty without backpressure.
    slot: Slot,
}

/// What `poll_ready` holds for the next call, with backpressure.
#[derive(Debug, Default)]
enum Slot {
    #[default]
    Empty,
    Waiting(Place),
    Held(Permit),
    /// The next call is told.
    Refused,
}

/// Why a call cannot begin at once.
enum NotYet {
    Refused(Refusal),
    /// Since when.
    Queued(Place, Instant),
}

// ===== impl ConcurrencyLimit =====

impl<S, M> ConcurrencyLimit<S, M> {
    pub(crate) fn new(inner: S, limiter: Arc<Limiter>, mode: M, settings: Settings) -> Self {
        Self { inner, limiter, mode, settings, slot: Slot::Empty }
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

    /// Waits until there is something in the slot for the next call.
    fn poll_slot(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.slot = match &mut self.slot {
                Slot::Held(_) | Slot::Refused => return Poll::Ready(()),
                Slot::Empty => match Permit::try_from(&self.limiter) {
                    Some(permit) => Slot::Held(permit),
                    None => match Place::ask(&self.limiter, false) {
                        Asked::Granted(permit) => Slot::Held(permit),
                        Asked::Queued(place, _) => Slot::Waiting(place),
                        Asked::Refused => Slot::Refused,
                    },
                },
                Slot::Waiting(place) => match ready!(place.poll(cx)) {
                    Ok(permit) => Slot::Held(permit),
                    Err(_) => Slot::Refused,
                },
            };
        }
    }

    /// A permit, if there is one at once or nothing is limited.
    #[inline]
    fn admit(&mut self) -> Result<Option<Permit>, NotYet> {
        if self.settings.bypass {
            return Ok(None);
        }
        if Scope::current().has_passed() {
            self.slot = Slot::Empty;
            self.limiter.refuse();
            return Err(NotYet::Refused(Refusal::Expired));
        }
        if self.settings.backpressure {
            match mem::take(&mut self.slot) {
                Slot::Held(permit) => return Ok(Some(permit)),
                Slot::Refused => return Err(NotYet::Refused(Refusal::Overloaded)),
                // Called without having been ready: the caller takes its turn like any other.
                Slot::Empty | Slot::Waiting(_) => {}
            }
        }
        match Permit::try_from(&self.limiter) {
            Some(permit) => Ok(Some(permit)),
            None => self.ask(),
        }
    }

    /// There was no permit at once.
    #[cold]
    fn ask(&self) -> Result<Option<Permit>, NotYet> {
        if self.settings.max_wait.is_zero() {
            self.limiter.refuse();
            return Err(NotYet::Refused(Refusal::Overloaded));
        }
        match Place::ask(&self.limiter, true) {
            Asked::Granted(permit) => Ok(Some(permit)),
            Asked::Refused => Err(NotYet::Refused(Refusal::Overloaded)),
            Asked::Queued(place, since) => Err(NotYet::Queued(place, since)),
        }
    }
}

impl<S: Clone, M: Clone> ConcurrencyLimit<S, M> {
    /// This call has no use for the instance that was readied: whatever that one reserved is given back.
    fn give_back_readiness(&mut self) {
        let clone = self.inner.clone();
        drop(mem::replace(&mut self.inner, clone));
    }

    #[cold]
    fn call_later<R, F>(&mut self, request: R, why: NotYet) -> ResponseFuture<S, R, F, M> {
        self.give_back_readiness();
        match why {
            NotYet::Refused(refusal) => ResponseFuture::refused(refusal, self.mode.clone()),
            NotYet::Queued(place, since) => {
                let until =
                    Until { wait: since.checked_add(self.settings.max_wait), deadline: Deadline::current().instant() };
                let waiting = Waiting::new(self.inner.clone(), request, place, until);
                ResponseFuture::waiting(waiting, self.mode.clone())
            }
        }
    }
}

impl<S, M, R> Service<R> for ConcurrencyLimit<S, M>
where
    S: Service<R> + Clone,
    S::Error: Reject,
    M: Mode<R, S::Response> + Clone,
{
    type Response = M::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, R, S::Future, M>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.settings.backpressure && !self.settings.bypass {
            ready!(self.poll_slot(cx));
            if let Slot::Refused = self.slot {
                return Poll::Ready(Ok(()));
            }
        }
        let ready = ready!(self.inner.poll_ready(cx));
        if ready.is_err() {
            self.slot = Slot::Empty;
        }
        Poll::Ready(ready)
    }

    // The request is moved once, and what is made is written where it belongs: both are large under HTTP.
    fn call(&mut self, mut request: R) -> Self::Future {
        let mut running = match self.admit() {
            Ok(permit) => Running::new(permit),
            Err(why) => return self.call_later(request, why),
        };
        self.mode.admitted(&mut request, || running.hold());
        ResponseFuture::calling(self.inner.call(request), running, self.mode.clone())
    }
}

impl<S: Clone, M: Clone> Clone for ConcurrencyLimit<S, M> {
    /// The clone shares the limit. It holds nothing: what this one has reserved in `poll_ready` stays here.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.limiter), self.mode.clone(), self.settings)
    }
}

impl<S: fmt::Debug, M: fmt::Debug> fmt::Debug for ConcurrencyLimit<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimit")
            .field("inner", &self.inner)
            .field("limiter", &self.limiter)
            .field("mode", &self.mode)
            .field("settings", &self.settings)
            .field("slot", &self.slot)
            .finish()
    }
}
