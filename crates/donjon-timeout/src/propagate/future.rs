use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use donjon_core::{Reject, Rejection};
use pin_project_lite::pin_project;

pin_project! {
    /// The call of a [`PropagateDeadline`](crate::PropagateDeadline).
    ///
    /// # Panics
    ///
    /// When it is polled after it was refused.
    #[derive(Debug)]
    pub struct PropagateFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Calling { #[pin] future: F },
        Refused { rejection: Option<Rejection> },
    }
}

// ===== impl PropagateFuture =====

impl<F> PropagateFuture<F> {
    pub(super) const fn new(future: F) -> Self {
        Self { state: State::Calling { future } }
    }

    pub(super) const fn refused(rejection: Rejection) -> Self {
        Self { state: State::Refused { rejection: Some(rejection) } }
    }
}

impl<F, T, E> Future for PropagateFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Reject,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Calling { future } => future.poll(cx),
            StateProj::Refused { rejection } => {
                let rejection = rejection.take().expect("polled after it was ready");
                Poll::Ready(Err(E::from_rejection(rejection)))
            }
        }
    }
}
