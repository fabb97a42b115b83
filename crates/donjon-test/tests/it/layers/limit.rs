//! At most so many calls at once, and so many that wait in a queue.

use std::{
    collections::VecDeque,
    future::poll_fn,
    mem::{self, ManuallyDrop},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use donjon_core::{CallError, Deadline, Fresh, Phase, RejectionKind};
use tower::{Layer, Service};

use super::{BoxFuture, ready, rejected, until};

/// What a limit does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    AdmitsInPollReady,
    RefusalKeepsTheReadied,
    CloneHasItsOwnState,
    ApplicationHasItsOwnState,
    FreshShares,
    BypassLimits,
    DropBeforeThePollLeaks,
    DropInTheQueueLeaks,
    DropWakesNobody,
    PanicInCallLeaks,
    PanicInFutureLeaks,
    AnswerHeldUntilDrop,
    ErrorHeldUntilDrop,
    CompletionWakesNobody,
    ReadinessErrorHeldUntilDrop,
    ReadinessErrorHangs,
    FirstWakerOnly,
    WaitsBeyondTheDeadline,
    StartsAfterTheDeadline,
    ReadiesBeyondTheDeadline,
    DropAfterAPanicLeaks,
}

#[derive(Clone)]
pub(crate) struct LimitLayer {
    state: Arc<Shared>,
}

pub(crate) struct Limit<S> {
    inner: S,
    state: Arc<Shared>,
    /// Taken in `poll_ready`, with that fault.
    early: Option<Guard>,
}

struct Shared {
    max: usize,
    bound: usize,
    fault: Fault,
    bypass: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    queue: VecDeque<Waiter>,
    next: u64,
    unready: Vec<Waker>,
    panicked: bool,
}

struct Waiter {
    id: u64,
    waker: Option<Waker>,
}

/// A call that runs.
struct Guard(Arc<Shared>);

/// A call that waits.
struct Place {
    shared: Arc<Shared>,
    id: u64,
    done: bool,
}

enum Entry {
    Admitted(Guard),
    Queued(Place),
    Refused,
}

impl LimitLayer {
    pub(crate) fn new(max: usize, bound: usize, fault: Fault) -> Self {
        Self { state: Arc::new(Shared::new(max, bound, fault, false)) }
    }
}

impl Fresh for LimitLayer {
    fn fresh(&self) -> Self {
        if self.state.fault == Fault::FreshShares {
            return self.clone();
        }
        Self { state: Arc::new(self.state.anew(self.state.bypass)) }
    }

    fn bypass(&self) -> Self {
        Self { state: Arc::new(self.state.anew(self.state.fault != Fault::BypassLimits)) }
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Limit<S> {
        let state = if self.state.fault == Fault::ApplicationHasItsOwnState {
            Arc::new(self.state.anew(self.state.bypass))
        } else {
            Arc::clone(&self.state)
        };
        Limit { inner, state, early: None }
    }
}

impl<S: Clone> Clone for Limit<S> {
    fn clone(&self) -> Self {
        let state = if self.state.fault == Fault::CloneHasItsOwnState {
            Arc::new(self.state.anew(self.state.bypass))
        } else {
            Arc::clone(&self.state)
        };
        Self { inner: self.inner.clone(), state, early: None }
    }
}

impl<S, Req> Service<Req> for Limit<S>
where
    S: Service<Req, Error = CallError> + Clone + 'static,
    S::Future: 'static,
    S::Response: 'static,
    Req: 'static,
{
    type Response = S::Response;
    type Error = CallError;
    type Future = BoxFuture<Result<S::Response, CallError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        if self.state.fault == Fault::AdmitsInPollReady && self.early.is_none() {
            match self.state.try_enter() {
                Some(guard) => self.early = Some(guard),
                None => {
                    self.state.lock().unready.push(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        let fault = self.state.fault;
        let entry = match self.early.take() {
            Some(guard) => Entry::Admitted(guard),
            None => self.state.enter(),
        };
        match entry {
            Entry::Admitted(guard) if fault == Fault::PanicInCallLeaks => {
                let guard = ManuallyDrop::new(guard);
                let future = self.inner.call(req);
                run(ManuallyDrop::into_inner(guard), future, fault)
            }
            Entry::Admitted(guard) => run(guard, self.inner.call(req), fault),
            Entry::Queued(place) => {
                let mut inner = self.inner.clone();
                if fault != Fault::RefusalKeepsTheReadied {
                    drop(mem::replace(&mut self.inner, inner.clone()));
                }
                Box::pin(async move {
                    let deadline = Deadline::current();
                    let wait = if fault == Fault::WaitsBeyondTheDeadline { Deadline::never() } else { deadline };
                    let guard = until(wait, place, Phase::Queue).await?;
                    if fault != Fault::StartsAfterTheDeadline && deadline.has_passed() {
                        return Err(rejected(RejectionKind::DeadlineExceeded, Phase::Queue));
                    }
                    let wait = if fault == Fault::ReadiesBeyondTheDeadline { Deadline::never() } else { deadline };
                    match ready(&mut inner, wait).await {
                        Ok(_) => {}
                        Err(error) if fault == Fault::ReadinessErrorHangs && error_of_readiness(&error) => {
                            std::future::pending().await
                        }
                        Err(error) => {
                            if fault == Fault::ReadinessErrorHeldUntilDrop && error_of_readiness(&error) {
                                guard.leave_when_dropped_late();
                            }
                            return Err(error);
                        }
                    }
                    let future = inner.call(req);
                    run(guard, future, fault).await
                })
            }
            Entry::Refused => {
                if fault != Fault::RefusalKeepsTheReadied {
                    let clone = self.inner.clone();
                    drop(mem::replace(&mut self.inner, clone));
                }
                Box::pin(async { Err(rejected(RejectionKind::Overloaded, Phase::Admission)) })
            }
        }
    }
}

fn error_of_readiness(error: &CallError) -> bool {
    error.downcast_ref::<donjon_test::ProbeError>().is_some_and(donjon_test::ProbeError::is_readiness)
}

fn run<T: 'static, F>(guard: Guard, future: F, fault: Fault) -> BoxFuture<Result<T, CallError>>
where
    F: Future<Output = Result<T, CallError>> + 'static,
{
    match fault {
        Fault::DropBeforeThePollLeaks => {
            let guard = ManuallyDrop::new(guard);
            Box::pin(async move {
                let guard = ManuallyDrop::into_inner(guard);
                let result = future.await;
                guard.complete();
                result
            })
        }
        Fault::PanicInFutureLeaks => {
            let mut guard = Some(guard);
            let mut future = Box::pin(future);
            Box::pin(poll_fn(move |cx| {
                let kept = ManuallyDrop::new(guard.take());
                let polled = future.as_mut().poll(cx);
                guard = ManuallyDrop::into_inner(kept);
                if polled.is_ready() {
                    drop(guard.take());
                }
                polled
            }))
        }
        Fault::AnswerHeldUntilDrop | Fault::ErrorHeldUntilDrop => {
            let mut guard = Some(guard);
            let mut future = Box::pin(future);
            Box::pin(poll_fn(move |cx| {
                let polled = future.as_mut().poll(cx);
                if let Poll::Ready(result) = &polled
                    && result.is_ok() == (fault == Fault::ErrorHeldUntilDrop)
                {
                    drop(guard.take());
                }
                polled
            }))
        }
        _ => Box::pin(async move {
            let result = future.await;
            guard.complete();
            result
        }),
    }
}

impl Shared {
    fn new(max: usize, bound: usize, fault: Fault, bypass: bool) -> Self {
        Self { max, bound, fault, bypass, state: Mutex::default() }
    }

    fn anew(&self, bypass: bool) -> Self {
        Self::new(self.max, self.bound, self.fault, bypass)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while it is held")
    }

    fn try_enter(self: &Arc<Self>) -> Option<Guard> {
        let mut state = self.lock();
        if state.running >= self.max && !self.bypass {
            return None;
        }
        state.running += 1;
        Some(Guard(Arc::clone(self)))
    }

    fn enter(self: &Arc<Self>) -> Entry {
        if let Some(guard) = self.try_enter() {
            return Entry::Admitted(guard);
        }
        let mut state = self.lock();
        if state.queue.len() >= self.bound {
            return Entry::Refused;
        }
        state.next += 1;
        let id = state.next;
        state.queue.push_back(Waiter { id, waker: None });
        Entry::Queued(Place { shared: Arc::clone(self), id, done: false })
    }

    /// One call less runs, and perhaps the next one's turn has come.
    fn leave(&self, wake: bool) {
        let mut state = self.lock();
        state.running -= 1;
        let mut wakers = mem::take(&mut state.unready);
        if wake && let Some(waiter) = state.queue.pop_front() {
            state.running += 1;
            wakers.extend(waiter.waker);
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Guard {
    fn complete(self) {
        let this = ManuallyDrop::new(self);
        // The fault must not keep the state alive.
        let shared = Arc::clone(&this.0);
        shared.leave(shared.fault != Fault::CompletionWakesNobody);
    }

    /// As if the finished future held it: here, for as long as the process lives.
    fn leave_when_dropped_late(self) {
        mem::forget(self);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let fault = self.0.fault;
        if fault == Fault::DropAfterAPanicLeaks {
            let mut state = self.0.lock();
            if std::thread::panicking() {
                state.panicked = true;
            } else if state.panicked {
                return;
            }
        }
        self.0.leave(fault != Fault::DropWakesNobody);
    }
}

impl Future for Place {
    type Output = Guard;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Guard> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let id = self.id;
        match state.queue.iter_mut().find(|waiter| waiter.id == id) {
            Some(waiter) => {
                if waiter.waker.is_none() || shared.fault != Fault::FirstWakerOnly {
                    waiter.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            None => {
                self.done = true;
                Poll::Ready(Guard(Arc::clone(&shared)))
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.done || self.shared.fault == Fault::DropInTheQueueLeaks {
            return;
        }
        let mut state = self.shared.lock();
        let before = state.queue.len();
        state.queue.retain(|waiter| waiter.id != self.id);
        let granted = state.queue.len() == before;
        drop(state);
        if granted {
            self.shared.leave(self.shared.fault != Fault::DropWakesNobody);
        }
    }
}
