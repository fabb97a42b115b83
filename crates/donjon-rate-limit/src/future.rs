//! The future of a rate-limited call.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use donjon_core::{Phase, Reject, Rejection, RejectionKind};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use crate::{Mode, Note, Standing, Turn, Verdict};

const LAYER: &str = "rate-limit";

pin_project! {
    /// The response future of [`RateLimit`](crate::RateLimit): it waits for its turn if it has to, then runs the call. `F`
    /// is the future of the service inside, `N` what the call keeps of the limit's standing, `W` how it waits.
    ///
    /// Dropping it before its turn gives the turn back, as far as nobody else would start too early for that.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, N, W> {
        #[pin]
        state: State<F, W>,
        // There until the call is over.
        note: Option<N>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, W> {
        Calling {
            #[pin]
            future: F,
        },
        // Whoever has to wait can afford an allocation, and the future of those who have not stays small.
        Waiting { waiting: Pin<Box<W>> },
        Refused { refusal: Refusal },
        Done,
    }
}

pin_project! {
    /// A call that waits: for what the limiter says, for its turn, then for its own clone of the inner service to be ready.
    pub struct Waiting<S, R, M, T, A> {
        inner: S,
        request: Option<R>,
        mode: M,
        #[pin]
        step: Step<T, A>,
        deadline: Option<Instant>,
        // Made when it is first needed.
        #[pin]
        timer: Option<Sleep>,
    }
}

pin_project! {
    #[project = StepProj]
    #[project_replace = StepOwn]
    pub(crate) enum Step<T, A> {
        Asked {
            #[pin]
            later: A,
        },
        Queued { turn: T },
        Granted { standing: Standing },
        Over,
    }
}

/// Why a call was refused at the door.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    Limited { retry_after: Option<Duration> },
    Expired,
}

// ===== impl ResponseFuture =====

impl<F, N, W> ResponseFuture<F, N, W> {
    #[inline]
    pub(crate) fn calling(future: F, note: N) -> Self {
        Self { state: State::Calling { future }, note: Some(note) }
    }

    pub(crate) fn refused(refusal: Refusal, note: N) -> Self {
        Self { state: State::Refused { refusal }, note: Some(note) }
    }

    pub(crate) fn waiting(waiting: W) -> Self {
        Self { state: State::Waiting { waiting: Box::pin(waiting) }, note: None }
    }
}

impl<S, R, M, T, A> Future for ResponseFuture<S::Future, M::Note, Waiting<S, R, M, T, A>>
where
    S: Service<R>,
    S::Error: Reject,
    M: Mode<Note: Note<S::Response>>,
    T: Turn,
    A: Future<Output = Verdict<T>>,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !matches!(self.state, State::Calling { .. }) {
            ready!(self.as_mut().poll_admission(cx))?;
        }
        let mut this = self.project();
        let StateProj::Calling { future } = this.state.as_mut().project() else {
            unreachable!("a call that was admitted has begun");
        };
        // Returned as it is, so that a large response is not moved.
        let mut poll = future.poll(cx);
        if let Poll::Ready(result) = &mut poll {
            // What the call holds inside is given back now, though the finished future may stay.
            this.state.set(State::Done);
            if let (Ok(response), Some(note)) = (result, this.note.take()) {
                note.answered(response);
            }
        }
        poll
    }
}

impl<S, R, M, T, A> ResponseFuture<S::Future, M::Note, Waiting<S, R, M, T, A>>
where
    S: Service<R>,
    S::Error: Reject,
    M: Mode<Note: Note<S::Response>>,
    T: Turn,
    A: Future<Output = Verdict<T>>,
{
    /// Ready when the call has begun.
    #[cold]
    fn poll_admission(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let mut this = self.project();
        let error = match this.state.as_mut().project() {
            StateProj::Waiting { waiting } => match ready!(waiting.as_mut().poll_turn(cx)) {
                Ok(standing) => {
                    let future = waiting.as_mut().call();
                    *this.note = Some(waiting.as_mut().project().mode.note(Some(standing)));
                    this.state.set(State::Calling { future });
                    return Poll::Ready(Ok(()));
                }
                Err(error) => error,
            },
            StateProj::Refused { refusal } => {
                let note = this.note.take().expect("a refused call has a note until it is told");
                S::Error::from_rejection(note.refused(refusal.rejection()))
            }
            StateProj::Calling { .. } => return Poll::Ready(Ok(())),
            StateProj::Done => panic!("a rate-limited call was polled after it had ended"),
        };
        this.state.set(State::Done);
        Poll::Ready(Err(error))
    }
}

impl<F, N, W> fmt::Debug for ResponseFuture<F, N, W> {
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

impl<S, R, M, T, A> Waiting<S, R, M, T, A> {
    pub(crate) fn new(inner: S, request: R, mode: M, step: Step<T, A>, deadline: Option<Instant>) -> Self {
        Self { inner, request: Some(request), mode, step, deadline, timer: None }
    }

    /// Waits for the verdict, for the turn, and for readiness.
    fn poll_turn(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Standing, S::Error>>
    where
        S: Service<R>,
        S::Error: Reject,
        M: Mode<Note: Note<S::Response>>,
        T: Turn,
        A: Future<Output = Verdict<T>>,
    {
        let mut this = self.project();
        let mode = &*this.mode;
        let refuse = |rejection, standing| {
            let rejection = mode.note(standing).refused(rejection);
            Poll::Ready(Err(S::Error::from_rejection(rejection)))
        };
        let expired = |phase| refuse(Rejection::new(RejectionKind::DeadlineExceeded, LAYER).with_phase(phase), None);
        loop {
            match this.step.as_mut().project() {
                StepProj::Asked { later } => match later.poll(cx) {
                    Poll::Ready(Verdict::Admitted(standing)) => {
                        this.timer.set(None);
                        if this.deadline.is_some_and(|at| at <= Instant::now()) {
                            this.step.set(Step::Over);
                            return expired(Phase::Admission);
                        }
                        this.step.set(Step::Granted { standing });
                    }
                    Poll::Ready(Verdict::Wait(turn)) => {
                        this.timer.set(None);
                        this.step.set(Step::Queued { turn });
                    }
                    Poll::Ready(Verdict::Refused { retry_after, standing }) => {
                        this.step.set(Step::Over);
                        return refuse(Refusal::Limited { retry_after }.rejection(), standing);
                    }
                    Poll::Pending => {
                        ready!(poll_timer(this.timer.as_mut(), *this.deadline, cx));
                        this.step.set(Step::Over);
                        return expired(Phase::Admission);
                    }
                },
                StepProj::Queued { turn } => {
                    let at = turn.at();
                    let now = Instant::now();
                    // Nothing starts after its deadline: the turn is given back.
                    if this.deadline.is_some_and(|deadline| deadline <= now) {
                        this.step.set(Step::Over);
                        return expired(Phase::Queue);
                    }
                    if now < at {
                        // A limiter may have promised a turn beyond the deadline, which nobody can use.
                        let until = this.deadline.map_or(at, |deadline| deadline.min(at));
                        ready!(poll_timer(this.timer.as_mut(), Some(until), cx));
                        continue;
                    }
                    this.timer.set(None);
                    let StepOwn::Queued { turn } = this.step.as_mut().project_replace(Step::Over) else {
                        unreachable!("it has just been one that is queued");
                    };
                    match turn.take() {
                        Some(standing) => this.step.set(Step::Granted { standing }),
                        None => {
                            let rejection = Rejection::new(RejectionKind::RateLimited, LAYER).with_phase(Phase::Queue);
                            return refuse(rejection, None);
                        }
                    }
                }
                StepProj::Granted { standing } => {
                    let standing = *standing;
                    match this.inner.poll_ready(cx) {
                        // There is a timer if this was waited for, and it may be over by now.
                        Poll::Ready(Ok(()))
                            if this.timer.is_some() && this.deadline.is_some_and(|at| at <= Instant::now()) =>
                        {
                            this.step.set(Step::Over);
                            return expired(Phase::Ready);
                        }
                        Poll::Ready(Ok(())) => return Poll::Ready(Ok(standing)),
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Pending => {
                            ready!(poll_timer(this.timer.as_mut(), *this.deadline, cx));
                            return expired(Phase::Ready);
                        }
                    }
                }
                StepProj::Over => panic!("a rate-limited call was polled after it had ended"),
            }
        }
    }

    fn call(self: Pin<&mut Self>) -> S::Future
    where
        S: Service<R>,
    {
        let this = self.project();
        this.inner.call(this.request.take().expect("a call has one turn"))
    }
}

impl<S, R, M, T, A> fmt::Debug for Waiting<S, R, M, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("deadline", &self.deadline).finish_non_exhaustive()
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

// ===== impl Refusal =====

impl Refusal {
    fn rejection(self) -> Rejection {
        match self {
            Self::Limited { retry_after: None } => Rejection::new(RejectionKind::RateLimited, LAYER),
            Self::Limited { retry_after: Some(after) } => {
                Rejection::new(RejectionKind::RateLimited, LAYER).with_retry_after(after)
            }
            Self::Expired => Rejection::new(RejectionKind::DeadlineExceeded, LAYER),
        }
    }
}
