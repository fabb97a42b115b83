use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use donjon_core::{Deadline, Phase, Reject, Rejection, RejectionKind};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use crate::{
    NoRetry, Policy,
    call::{Call, Next},
};

pin_project! {
    /// The future of [`Retry`](crate::Retry): an attempt, and those that follow it.
    ///
    /// Dropping it drops the attempt that is running; a retry that was not sent yet has cost nothing.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<P, S, Req, F, D> {
        #[pin]
        state: State<F, D>,
        call: Call<P, S, Req>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, D> {
        Attempt { #[pin] attempt: F },
        // The failed response is got rid of before the wait, and the wait counts from the failure.
        Discard { #[pin] discard: D, until: Option<Instant> },
        // Boxed, since a call that succeeds at once would carry the room for a timer around.
        Wait { sleep: Pin<Box<Sleep>> },
        // The expiry is armed when the service is not ready at once and there is a deadline.
        Ready { expiry: Option<Pin<Box<Sleep>>> },
        Done,
    }
}

// ===== impl ResponseFuture =====

impl<P, S, Req, F, D> ResponseFuture<P, S, Req, F, D> {
    pub(crate) const fn new(attempt: F, call: Call<P, S, Req>) -> Self {
        Self { state: State::Attempt { attempt }, call }
    }
}

impl<P, S, Req> Future for ResponseFuture<P, S, Req, S::Future, P::Discard>
where
    S: Service<Req>,
    S::Error: Reject,
    P: Policy<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Attempt { attempt } => {
                    let result = ready!(this.call.enter(|| attempt.poll(cx)));
                    match this.call.judge(result) {
                        Next::Return(result) => break end(this.state, this.call, result),
                        Next::Retry { failed: Ok(response), wait } => {
                            State::Discard { discard: this.call.policy().discard(response), until: after(wait) }
                        }
                        Next::Retry { failed: Err(_), wait } => State::wait_until(after(wait)),
                    }
                }
                StateProj::Discard { discard, until } => {
                    ready!(discard.poll(cx));
                    State::wait_until(*until)
                }
                StateProj::Wait { sleep } => {
                    ready!(sleep.as_mut().poll(cx));
                    State::Ready { expiry: None }
                }
                StateProj::Ready { expiry } => match this.call.poll_ready(cx) {
                    Poll::Ready(Ok(())) if Deadline::current().has_passed() => {
                        let result = this.call.abandon(too_late(Phase::Backoff), NoRetry::DeadlineTooClose);
                        break end(this.state, this.call, result);
                    }
                    Poll::Ready(Ok(())) => State::Attempt { attempt: this.call.send() },
                    Poll::Ready(Err(error)) => {
                        let result = this.call.abandon(error, NoRetry::NotReady);
                        break end(this.state, this.call, result);
                    }
                    Poll::Pending => {
                        let deadline = Deadline::current();
                        let Some(at) = deadline.instant() else { return Poll::Pending };
                        let expiry = expiry.get_or_insert_with(|| Box::pin(sleep_until(at)));
                        // The clock too: a service that uses up its task's share keeps the timer from firing.
                        let fired = expiry.as_mut().poll(cx).is_ready();
                        if !fired && !deadline.has_passed() {
                            return Poll::Pending;
                        }
                        let result = this.call.abandon(too_late(Phase::Ready), NoRetry::DeadlineTooClose);
                        break end(this.state, this.call, result);
                    }
                },
                StateProj::Done => panic!("`ResponseFuture` polled after completion"),
            };
            this.state.set(next);
        }
    }
}

impl<P, S, Req, F, D> fmt::Debug for ResponseFuture<P, S, Req, F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("call", &self.call).finish_non_exhaustive()
    }
}

#[inline]
fn end<P, S, Req, F, D, T>(mut state: Pin<&mut State<F, D>>, call: &mut Call<P, S, Req>, result: T) -> Poll<T> {
    state.set(State::Done);
    call.release();
    Poll::Ready(result)
}

fn too_late<E: Reject>(phase: Phase) -> E {
    E::from_rejection(Rejection::new(RejectionKind::DeadlineExceeded, "retry").with_phase(phase))
}

/// `None` where there is nothing to wait for: no timer, no clock.
fn after(wait: Duration) -> Option<Instant> {
    // Further away than an instant can say: 30 years, as tokio itself has it.
    const FAR: Duration = Duration::from_secs(86400 * 365 * 30);
    (!wait.is_zero()).then(|| {
        let now = Instant::now();
        now.checked_add(wait).unwrap_or_else(|| now + FAR)
    })
}

// ===== impl State =====

impl<F, D> State<F, D> {
    fn wait_until(until: Option<Instant>) -> Self {
        match until {
            Some(until) => Self::Wait { sleep: Box::pin(sleep_until(until)) },
            None => Self::Ready { expiry: None },
        }
    }
}
