use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use donjon_core::{Deadline, Phase, Reject, Scope};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use crate::{Finish, form::Watch, shared::Ticket, timer};

pin_project! {
    /// The call of a [`WithDeadline`](crate::WithDeadline).
    ///
    /// # Panics
    ///
    /// When it is pending outside of a tokio runtime with time enabled, and when it is polled after it was ready.
    pub struct DeadlineFuture<S, R, F, M> {
        #[pin]
        state: State<S, R, F>,
        #[pin]
        sleep: Option<Sleep>,
        scope: Scope,
        timeout: Option<Duration>,
        begun: bool,
        on: bool,
        ticket: Ticket,
        form: M,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R, F> {
        Waiting { service: S, req: Option<R> },
        Calling { #[pin] future: F },
        Done,
    }
}

// ===== impl DeadlineFuture =====

impl<S, R, F, M> DeadlineFuture<S, R, F, M> {
    pub(super) const fn new(
        service: S,
        req: R,
        scope: Scope,
        timeout: Option<Duration>,
        ticket: Ticket,
        form: M,
    ) -> Self {
        let state = State::Waiting { service, req: Some(req) };
        Self { state, sleep: None, scope, timeout, begun: false, on: true, ticket, form }
    }

    /// A call that is not looked at.
    pub(super) const fn let_through(future: F, ticket: Ticket, form: M) -> Self {
        let state = State::Calling { future };
        Self { state, sleep: None, scope: Scope::root(), timeout: None, begun: false, on: false, ticket, form }
    }
}

impl<S, R, M> Future for DeadlineFuture<S, R, S::Future, M>
where
    S: Service<R>,
    S::Error: Reject,
    M: Finish<S::Response>,
{
    type Output = Result<M::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();

        if !*this.on {
            let result = ready!(this.state.as_mut().poll(cx));
            this.state.set(State::Done);
            let watch = || Watch { scope: None, until: None, ticket: *this.ticket };
            return Poll::Ready(result.map(|res| this.form.finish(res, watch)));
        }

        let phase = 'late: {
            if !*this.begun {
                *this.begun = true;
                begin(this.scope, *this.timeout);
                if this.scope.has_passed() {
                    break 'late Phase::Admission;
                }
            }

            let fired = timer::fired(this.sleep.as_mut(), cx);
            if fired && matches!(*this.state, State::Waiting { .. }) {
                // The inner service may be ready by now, and is too late: no work starts after the deadline.
                break 'late Phase::Ready;
            }

            let state = this.state.as_mut();
            if let Poll::Ready(result) = this.scope.enter(|| state.poll(cx)) {
                this.state.set(State::Done);
                this.sleep.set(None);
                let watch = || {
                    let until = this.scope.deadline().instant();
                    Watch { scope: Some(*this.scope), until, ticket: *this.ticket }
                };
                return Poll::Ready(result.map(|res| this.form.finish(res, watch)));
            }

            if !fired {
                if this.sleep.is_some() {
                    return Poll::Pending;
                }
                match this.scope.deadline().instant() {
                    Some(at) => ready!(timer::arm(this.sleep.as_mut(), at, cx)),
                    None => return Poll::Pending,
                }
            }
            if matches!(*this.state, State::Waiting { .. }) { Phase::Ready } else { Phase::Attempt }
        };

        this.state.set(State::Done);
        this.sleep.set(None);
        Poll::Ready(Err(S::Error::from_rejection(this.ticket.reject(phase))))
    }
}

/// The time starts: the shortest of what the layer, the caller of `call` and whoever polls now allow. Where nobody
/// outside has a deadline no clock is read.
#[inline]
fn begin(scope: &mut Scope, timeout: Option<Duration>) {
    if let Some(timeout) = timeout {
        *scope = scope.with_timeout(timeout);
    }
    if Scope::current().has_deadline() {
        *scope = scope.with_deadline(Deadline::current());
    }
}

impl<S, R, F, M> fmt::Debug for DeadlineFuture<S, R, F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineFuture").field("scope", &self.scope).field("on", &self.on).finish_non_exhaustive()
    }
}

// ===== impl State =====

impl<S: Service<R>, R> State<S, R, S::Future> {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Response, S::Error>> {
        loop {
            let future = match self.as_mut().project() {
                StateProj::Waiting { service, req } => {
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        return Poll::Ready(Err(error));
                    }
                    service.call(req.take().expect("a request is called once, and not again after a panic"))
                }
                StateProj::Calling { future } => return future.poll(cx),
                StateProj::Done => panic!("polled after it was ready"),
            };
            self.set(State::Calling { future });
        }
    }
}
