use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use donjon_core::{Deadline, Replay, Scope};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;

use crate::{Answer, Source};

/// A second service. Made by [`FallbackLayer::service`](crate::FallbackLayer::service).
#[derive(Clone, Copy, Debug)]
pub struct Second<S>(S);

/// A clone of the second service, and the request of one call.
pub struct SecondCall<S, Req> {
    service: S,
    request: Req,
}

pin_project! {
    /// The second service's answer: readies its clone, then calls it with the request.
    ///
    /// It does not begin after the ambient deadline, and does not wait for readiness beyond it: the answer is then the
    /// failure that it was to take the place of.
    pub struct SecondFuture<S, Req, F, T, E> {
        #[pin]
        state: State<S, Req, F, T, E>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, Req, F, T, E> {
        Waiting {
            // Taken when the wait is over, one way or the other.
            waiting: Option<Waiting<S, Req, T, E>>,
        },
        Calling {
            #[pin]
            future: F,
        },
        Done,
    }
}

struct Waiting<S, Req, T, E> {
    call: SecondCall<S, Req>,
    failed: Result<T, E>,
    /// Armed when the service is not ready at once and there is a deadline.
    expiry: Option<Pin<Box<Sleep>>>,
}

// ===== impl Second =====

impl<S> Second<S> {
    pub(crate) const fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S: Clone, Req: Replay> Source<Req> for Second<S> {
    type Kept = SecondCall<S, Req>;

    #[inline]
    fn keep(&self, req: &Req) -> Option<Self::Kept> {
        Some(SecondCall { request: req.replay()?, service: self.0.clone() })
    }
}

// ===== impl SecondCall =====

impl<S, Req> Answer<S::Response, S::Error> for SecondCall<S, Req>
where
    S: Service<Req>,
    Req: Replay,
{
    type Future = SecondFuture<S, Req, S::Future, S::Response, S::Error>;

    fn answer(self, failed: Result<S::Response, S::Error>) -> Self::Future {
        SecondFuture { state: State::Waiting { waiting: Some(Waiting { call: self, failed, expiry: None }) } }
    }
}

impl<S, Req> fmt::Debug for SecondCall<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondCall").finish_non_exhaustive()
    }
}

// ===== impl SecondFuture =====

impl<S, Req> Future for SecondFuture<S, Req, S::Future, S::Response, S::Error>
where
    S: Service<Req>,
    Req: Replay,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let result = loop {
            match state.as_mut().project() {
                StateProj::Waiting { waiting } => {
                    // Out of the future while others' code runs, so that a panic drops it all.
                    let mut own = waiting.take().expect("it waits until it is over");
                    // A recording of a body may have outgrown its cap by now.
                    if Scope::current().has_passed() || !own.call.request.is_intact() {
                        break own.failed;
                    }
                    match own.call.service.poll_ready(cx) {
                        Poll::Ready(Ok(())) => {
                            let Waiting { mut call, failed, expiry } = own;
                            drop((failed, expiry));
                            let future = call.service.call(call.request);
                            state.set(State::Calling { future });
                        }
                        Poll::Ready(Err(error)) => break Err(error),
                        Poll::Pending if own.expired(cx) => break own.failed,
                        Poll::Pending => {
                            *waiting = Some(own);
                            return Poll::Pending;
                        }
                    }
                }
                StateProj::Calling { future } => match future.poll(cx) {
                    Poll::Ready(result) => break result,
                    Poll::Pending => return Poll::Pending,
                },
                StateProj::Done => panic!("`SecondFuture` polled after completion"),
            }
        };
        state.set(State::Done);
        Poll::Ready(result)
    }
}

impl<S, Req, F, T, E> fmt::Debug for SecondFuture<S, Req, F, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondFuture").finish_non_exhaustive()
    }
}

// ===== impl Waiting =====

impl<S, Req, T, E> Waiting<S, Req, T, E> {
    /// Whether the deadline has passed meanwhile; if not, it wakes.
    fn expired(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = Deadline::current();
        let Some(at) = deadline.instant() else {
            return false;
        };
        let expiry = self.expiry.get_or_insert_with(|| Box::pin(sleep_until(at)));
        // The clock too: a service that uses up its task's share keeps the timer from firing.
        expiry.as_mut().poll(cx).is_ready() || deadline.has_passed()
    }
}
