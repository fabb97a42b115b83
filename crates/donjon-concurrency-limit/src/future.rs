//! The future of a limited call.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll, ready},
};

use donjon_core::{Phase, Reject, Rejection, RejectionKind};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use crate::{
    HeldPermit, Mode,
    permit::{Permit, Place},
};

const LAYER: &str = "concurrency-limit";

pin_project! {
    /// The response future of [`ConcurrencyLimit`](crate::ConcurrencyLimit): it waits for a permit if there was none,
    /// then runs the call. `S`, `R` and `F` are the service inside, its request and its future, `M` the mode.
    ///
    /// Dropping it gives back the permit, or the place in the queue.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, R, F, M> {
        #[pin]
        state: State<S, R, F>,
        mode: M,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R, F> {
        Calling {
            // Dropped before the permit is given back.
            #[pin]
            future: F,
            running: Running,
        },
        // Whoever has to wait can afford an allocation, and the future of those who have not stays small.
        Waiting { waiting: Pin<Box<Waiting<S, R>>> },
        Refused { refusal: Refusal },
        Done,
    }
}

pin_project! {
    /// A call that waits for a permit, then for its own clone of the inner service to be ready.
    pub(crate) struct Waiting<S, R> {
        inner: S,
        request: Option<R>,
        turn: Turn,
        until: Until,
        // Made when it is first needed.
        #[pin]
        timer: Option<Sleep>,
    }
}

enum Turn {
    Queued(Place),
    Granted(Running),
    Over,
}

/// How long a call may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    pub(crate) wait: Option<Instant>,
    pub(crate) deadline: Option<Instant>,
}

/// Why a call was refused at the door.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    Overloaded,
    Expired,
}

/// The permit of a call that has not answered. Dropped with the permit inside, the call was cancelled.
pub(crate) struct Running {
    permit: Option<Permit>,
}

// ===== impl ResponseFuture =====

impl<S, R, F, M> ResponseFuture<S, R, F, M> {
    #[inline]
    pub(crate) fn calling(future: F, running: Running, mode: M) -> Self {
        Self { state: State::Calling { future, running }, mode }
    }

    pub(crate) fn waiting(waiting: Waiting<S, R>, mode: M) -> Self {
        Self { state: State::Waiting { waiting: Box::pin(waiting) }, mode }
    }

    pub(crate) fn refused(refusal: Refusal, mode: M) -> Self {
        Self { state: State::Refused { refusal }, mode }
    }
}

impl<S, R, F, M> Future for ResponseFuture<S, R, F, M>
where
    S: Service<R, Future = F>,
    S::Error: Reject,
    M: Mode<R, S::Response>,
    F: Future<Output = Result<S::Response, S::Error>>,
{
    type Output = Result<M::Response, S::Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !matches!(self.state, State::Calling { .. }) {
            ready!(self.as_mut().poll_admission(cx))?;
        }
        let this = self.project();
        let StateProj::Calling { future, running } = this.state.project() else {
            unreachable!("a call that was admitted has begun");
        };
        // Out of the future while it is polled, so that a panic gives the permit back.
        let own = running.take();
        match future.poll(cx) {
            Poll::Pending => {
                *running = own;
                Poll::Pending
            }
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(this.mode.finish(response, own.finish()))),
            Poll::Ready(Err(error)) => {
                drop(own.finish());
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<S, R, F, M> ResponseFuture<S, R, F, M>
where
    S: Service<R, Future = F>,
    S::Error: Reject,
    M: Mode<R, S::Response>,
{
    /// Waits until the call has begun.
    #[cold]
    fn poll_admission(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let mut this = self.project();
        let error = match this.state.as_mut().project() {
            StateProj::Waiting { waiting } => match ready!(waiting.as_mut().poll_turn(cx)) {
                Ok(mut running) => {
                    let future = waiting.as_mut().call(|request| this.mode.admitted(request, || running.hold()));
                    this.state.set(State::Calling { future, running });
                    return Poll::Ready(Ok(()));
                }
                Err(error) => error,
            },
            StateProj::Refused { refusal } => S::Error::from_rejection(refusal.rejection()),
            StateProj::Calling { .. } => return Poll::Ready(Ok(())),
            StateProj::Done => panic!("a limited call was polled after it had been refused"),
        };
        this.state.set(State::Done);
        Poll::Ready(Err(error))
    }
}

impl<S, R, F, M> fmt::Debug for ResponseFuture<S, R, F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling { .. } => "calling",
            State::Waiting { .. } => "waiting",
            State::Refused { .. } => "refused",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}

// ===== impl Waiting =====

impl<S, R> Waiting<S, R> {
    pub(crate) fn new(inner: S, request: R, place: Place, until: Until) -> Self {
        Self { inner, request: Some(request), turn: Turn::Queued(place), until, timer: None }
    }

    /// Waits for the permit and for readiness.
    fn poll_turn(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Running, S::Error>>
    where
        S: Service<R>,
        S::Error: Reject,
    {
        let mut this = self.project();
        let refuse = |kind, phase| {
            let rejection = Rejection::new(kind, LAYER).with_phase(phase);
            Poll::Ready(Err(S::Error::from_rejection(rejection)))
        };
        loop {
            // Out of the future while others' code runs, so that a panic gives everything back.
            match mem::replace(this.turn, Turn::Over) {
                Turn::Queued(mut place) => {
                    let permit = match place.poll(cx) {
                        Poll::Ready(Ok(permit)) => permit,
                        Poll::Ready(Err(_)) => return refuse(RejectionKind::Overloaded, Phase::Queue),
                        Poll::Pending => {
                            if poll_timer(this.timer.as_mut(), this.until.earliest(), cx).is_pending() {
                                *this.turn = Turn::Queued(place);
                                return Poll::Pending;
                            }
                            match place.time_out() {
                                Some(permit) => permit,
                                None => return refuse(this.until.kind(), Phase::Queue),
                            }
                        }
                    };
                    this.timer.set(None);
                    // Nothing starts after its deadline, though its turn has come.
                    if this.until.deadline.is_some_and(|at| at <= Instant::now()) {
                        permit.limiter().counters.timed_out.fetch_add(1, Ordering::Relaxed);
                        drop(permit);
                        return refuse(RejectionKind::DeadlineExceeded, Phase::Queue);
                    }
                    *this.turn = Turn::Granted(Running::new(Some(permit)));
                }
                Turn::Granted(running) => match this.inner.poll_ready(cx) {
                    // There is a timer if this was waited for, and it may be over by now.
                    Poll::Ready(Ok(()))
                        if this.timer.is_some() && this.until.deadline.is_some_and(|at| at <= Instant::now()) =>
                    {
                        drop(running);
                        return refuse(RejectionKind::DeadlineExceeded, Phase::Ready);
                    }
                    Poll::Ready(Ok(())) => return Poll::Ready(Ok(running)),
                    Poll::Ready(Err(error)) => {
                        drop(running.finish());
                        return Poll::Ready(Err(error));
                    }
                    Poll::Pending => {
                        if poll_timer(this.timer.as_mut(), this.until.deadline, cx).is_pending() {
                            *this.turn = Turn::Granted(running);
                            return Poll::Pending;
                        }
                        drop(running);
                        return refuse(RejectionKind::DeadlineExceeded, Phase::Ready);
                    }
                },
                Turn::Over => panic!("a limited call was polled after it had panicked"),
            }
        }
    }

    fn call(self: Pin<&mut Self>, admit: impl FnOnce(&mut R)) -> S::Future
    where
        S: Service<R>,
    {
        let this = self.project();
        let mut request = this.request.take().expect("a call has one turn");
        admit(&mut request);
        this.inner.call(request)
    }
}

/// Pending up to this instant; for ever, without one.
fn poll_timer(mut timer: Pin<&mut Option<Sleep>>, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(at) = at else {
        return Poll::Pending;
    };
    if timer.is_none() {
        timer.set(Some(sleep_until(at)));
    }
    match timer.as_pin_mut() {
        Some(timer) => timer.poll(cx),
        None => Poll::Pending,
    }
}

// ===== impl Until =====

impl Until {
    fn earliest(self) -> Option<Instant> {
        match (self.wait, self.deadline) {
            (Some(wait), Some(deadline)) => Some(wait.min(deadline)),
            (wait, deadline) => wait.or(deadline),
        }
    }

    /// Why a call is refused at the earliest of the two.
    fn kind(self) -> RejectionKind {
        match (self.wait, self.deadline) {
            (Some(wait), Some(deadline)) if wait <= deadline => RejectionKind::Overloaded,
            (_, Some(_)) => RejectionKind::DeadlineExceeded,
            _ => RejectionKind::Overloaded,
        }
    }
}

// ===== impl Refusal =====

impl Refusal {
    fn rejection(self) -> Rejection {
        let kind = match self {
            Self::Overloaded => RejectionKind::Overloaded,
            Self::Expired => RejectionKind::DeadlineExceeded,
        };
        Rejection::new(kind, LAYER)
    }
}

// ===== impl Running =====

impl Running {
    #[inline]
    pub(crate) fn new(permit: Option<Permit>) -> Self {
        Self { permit }
    }

    #[inline]
    fn take(&mut self) -> Self {
        Self { permit: self.permit.take() }
    }

    /// Shares the permit; if there is none, as nothing is limited, there is none to share.
    pub(crate) fn hold(&mut self) -> HeldPermit {
        let Some(permit) = self.permit.take() else {
            return HeldPermit::none();
        };
        let (permit, held) = permit.share();
        self.permit = Some(permit);
        held
    }

    /// The call has answered.
    #[inline]
    fn finish(mut self) -> Option<Permit> {
        self.permit.take()
    }
}

impl Drop for Running {
    #[inline]
    fn drop(&mut self) {
        if let Some(permit) = &self.permit {
            permit.limiter().counters.cancelled_running.fetch_add(1, Ordering::Relaxed);
        }
    }
}
