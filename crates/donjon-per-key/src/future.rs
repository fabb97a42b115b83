//! The future of a call through the layer of its key.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use donjon_core::{Reject, Rejection, RejectionKind};
use pin_project_lite::pin_project;

use crate::LAYER;

pin_project! {
    /// The response future of [`PerKey`](crate::PerKey): `F` is the future of the layer `L` of the key.
    ///
    /// As long as it runs, its key is in use, and not forgotten.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, L> {
        #[pin]
        state: State<F, L>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, L> {
        Calling {
            // Dropped before the lease.
            #[pin]
            future: F,
            lease: Option<Arc<L>>,
        },
        Refused { kind: RejectionKind },
        Done,
    }
}

// ===== impl ResponseFuture =====

impl<F, L> ResponseFuture<F, L> {
    #[inline]
    pub(crate) const fn calling(future: F, lease: Option<Arc<L>>) -> Self {
        Self { state: State::Calling { future, lease } }
    }

    pub(crate) const fn refused(kind: RejectionKind) -> Self {
        Self { state: State::Refused { kind } }
    }
}

impl<F, L, T, E> Future for ResponseFuture<F, L>
where
    F: Future<Output = Result<T, E>>,
    E: Reject,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let kind = match state.as_mut().project() {
            StateProj::Calling { future, lease } => {
                // Out of the future while it is polled, so that a panic gives the lease back.
                let own = lease.take();
                let poll = future.poll(cx);
                if poll.is_pending() {
                    *lease = own;
                }
                return poll;
            }
            StateProj::Refused { kind } => *kind,
            StateProj::Done => panic!("a call was polled after it had been refused"),
        };
        state.set(State::Done);
        Poll::Ready(Err(E::from_rejection(Rejection::new(kind, LAYER))))
    }
}

impl<F, L> fmt::Debug for ResponseFuture<F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling { .. } => "calling",
            State::Refused { .. } => "refused",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
