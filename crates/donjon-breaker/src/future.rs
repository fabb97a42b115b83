use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use donjon_core::{Classify, Reject, Rejection, RejectionKind};
use pin_project_lite::pin_project;

use crate::{circuit::Refused, running::Running};

pin_project! {
    /// The future of a call through a [`Breaker`](crate::Breaker): the inner one, or a refusal.
    ///
    /// Dropping it before it has answered cancels the call; a probe then gives its place to the next call.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, C> {
        #[pin]
        state: State<F, C>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, C> {
        Calling {
            // Dropped before the guard.
            #[pin]
            future: F,
            running: Running<C>,
        },
        Refused { refused: Refused },
        Done,
    }
}

// ===== impl ResponseFuture =====

impl<F, C> ResponseFuture<F, C> {
    #[inline]
    pub(crate) const fn calling(future: F, running: Running<C>) -> Self {
        Self { state: State::Calling { future, running } }
    }

    pub(crate) const fn refused(refused: Refused) -> Self {
        Self { state: State::Refused { refused } }
    }
}

impl<F, C, T, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    E: Reject,
    C: Classify<T, E>,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let result = match state.as_mut().project() {
            StateProj::Calling { future, running } => {
                // Out of the future while it is polled, so that a panic gives the place back.
                let own = running.take();
                let Poll::Ready(result) = future.poll(cx) else {
                    *running = own;
                    return Poll::Pending;
                };
                own.finish(|classify| classify.classify(result.as_ref()));
                result
            }
            StateProj::Refused { refused } => Err(E::from_rejection(refused.rejection())),
            StateProj::Done => panic!("the future of a breaker was polled after it had ended"),
        };
        state.set(State::Done);
        Poll::Ready(result)
    }
}

impl<F, C> fmt::Debug for ResponseFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling { .. } => "calling",
            State::Refused { .. } => "refused",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}

// ===== impl Refused =====

impl Refused {
    fn rejection(self) -> Rejection {
        let rejection = Rejection::new(RejectionKind::CircuitOpen, "breaker");
        match self.0 {
            Some(after) => rejection.with_retry_after(after),
            None => rejection,
        }
    }
}
