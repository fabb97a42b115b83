use std::{
    fmt,
    panic::resume_unwind,
    task::{Context, Poll},
};

use donjon_core::{CallError, Deadline, Scope};
use tokio::time::Instant;
use tower_service::Service;

use super::{
    ProbeFuture, ProbeHandle, ProbePanic, Readiness, Started, Violation,
    handle::wake,
    reply::{End, Wait},
    state::Running,
};
use crate::{Accept, Http, Number, Streaming};

/// A service that does what its [handle](ProbeHandle) says, and notes all that is done to it.
///
/// Readiness belongs to the instance: a clone is not ready, even of one that is, and an instance that was called has
/// to become ready again. Calling one that is not ready is a [`Violation`].
///
/// # Example
///
/// ```
/// use donjon_test::{Probe, Reply};
/// use tower::{Service, ServiceExt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut probe = Probe::number();
/// let handle = probe.handle();
/// handle.reply_next([Reply::fail()]);
///
/// assert!(probe.ready().await.unwrap().call(1).await.is_err());
/// assert!(probe.ready().await.unwrap().call(2).await.is_ok());
/// assert_eq!(handle.stats().calls, 2);
/// assert_eq!(handle.violations(), []);
/// # });
/// ```
pub struct Probe<X = Http> {
    exchange: X,
    instance: Instance,
}

/// What belongs to one instance of the service.
struct Instance {
    handle: ProbeHandle,
    number: u64,
    /// Ready, and so holding a reservation.
    ready: bool,
    /// It was pending once in this readiness: enough for [`Readiness::Slow`].
    slept: bool,
    /// The poll from outside in which it was last pending.
    pending_in: Option<u64>,
}

// ===== impl Probe =====

impl Probe<Http> {
    /// A probe for requests of HTTP.
    #[must_use]
    pub fn http() -> Self {
        Self::over(Http::default())
    }
}

impl Probe<Streaming> {
    /// A probe for requests of HTTP, with bodies that stream.
    #[must_use]
    pub fn streaming() -> Self {
        Self::over(Streaming::new())
    }
}

impl Probe<Number> {
    /// A probe for requests that are a `u64`.
    #[must_use]
    pub fn number() -> Self {
        Self::over(Number)
    }
}

impl<X> Probe<X> {
    /// A probe for the requests of this exchange.
    #[must_use]
    pub fn over(exchange: X) -> Self {
        Self::of(exchange, ProbeHandle::default())
    }

    pub(crate) fn of(exchange: X, handle: ProbeHandle) -> Self {
        Self { exchange, instance: Instance::new(handle) }
    }

    /// The test's end of it.
    #[must_use]
    pub fn handle(&self) -> ProbeHandle {
        self.instance.handle.clone()
    }
}

/// A clone is not ready.
impl<X: Clone> Clone for Probe<X> {
    fn clone(&self) -> Self {
        self.instance.handle.lock().stats.clones += 1;
        Self::of(self.exchange.clone(), self.instance.handle.clone())
    }
}

impl<X: fmt::Debug> fmt::Debug for Probe<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("exchange", &self.exchange)
            .field("instance", &self.instance.number)
            .field("ready", &self.instance.ready)
            .finish_non_exhaustive()
    }
}

impl<X, Q> Service<Q> for Probe<X>
where
    X: Accept<Q>,
{
    type Response = X::Response;
    type Error = CallError;
    type Future = ProbeFuture<X>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.instance.poll_ready(cx)
    }

    fn call(&mut self, request: Q) -> ProbeFuture<X> {
        let message = self.exchange.accept(request);
        let id = message.id();
        let instance = &mut self.instance;
        let scope = Scope::current();
        let started = Started {
            id,
            at: Instant::now(),
            deadline: Deadline::current(),
            criticality: scope.criticality(),
            attempt: scope.attempt(),
        };

        let mut state = instance.handle.lock();
        if instance.ready {
            state.stats.reserved -= 1;
        } else {
            state.violations.push(Violation::NotReady { id });
        }
        instance.ready = false;
        instance.slept = false;
        if id.is_none() {
            let how = "it is none of the requests that were sent".to_owned();
            state.violations.push(Violation::RequestChanged { id, how });
        }
        state.stats.calls += 1;
        state.started.push(started);

        let reply = state.next_reply();
        if reply.end == End::PanicInCall {
            state.stats.panicked += 1;
            let wakers = state.take_unready();
            drop(state);
            wake(wakers);
            resume_unwind(Box::new(ProbePanic));
        }
        state.stats.in_flight += 1;
        state.stats.max_in_flight = state.stats.max_in_flight.max(state.stats.in_flight);
        state.serial += 1;
        let serial = state.serial;
        state.running.insert(serial, Running { id, held: reply.wait == Wait::Held, waker: None });
        drop(state);
        ProbeFuture::new(self.exchange.clone(), instance.handle.clone(), message, serial, reply)
    }
}

// ===== impl Instance =====

impl Instance {
    fn new(handle: ProbeHandle) -> Self {
        let number = {
            let mut state = handle.lock();
            state.stats.instances += 1;
            state.instance += 1;
            state.instance
        };
        Self { handle, number, ready: false, slept: false, pending_in: None }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        let mut state = self.handle.lock();
        state.stats.ready_polls += 1;
        if self.ready {
            return Poll::Ready(Ok(()));
        }
        let woken = state.unready.remove(&self.number).is_none();
        match state.readiness {
            Readiness::Fail => return Poll::Ready(Err(state.error(true).into())),
            Readiness::Slow if !self.slept => {
                self.slept = true;
                state.stats.wakes += 1;
                drop(state);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Readiness::Ready | Readiness::Slow if state.has_room() => {
                state.stats.reserved += 1;
                self.ready = true;
                return Poll::Ready(Ok(()));
            }
            Readiness::Ready | Readiness::Slow | Readiness::Pending => {}
        }
        if !woken && state.epoch > 0 && self.pending_in == Some(state.epoch) {
            state.violations.push(Violation::Spun);
        }
        self.pending_in = Some(state.epoch);
        state.unready.insert(self.number, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let mut state = self.handle.lock();
        state.stats.instances -= 1;
        state.unready.remove(&self.number);
        if self.ready {
            state.stats.reserved -= 1;
            let wakers = state.take_unready();
            drop(state);
            wake(wakers);
        }
    }
}
