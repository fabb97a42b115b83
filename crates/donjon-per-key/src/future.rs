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

use crate::{LAYER, kept::Kept};

pin_project! {
    /// The response future of [`PerKey`](crate::PerKey): `F` is the future of the layer `L` of the key.
    ///
    /// As long as it runs, its key is in use, and not forgotten.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, L> {
        #[pin]
        pub(crate) state: State<F, L>,
    }
}

pin_project! {
    #[project = StateProj]
    pub(crate) enum State<F, L> {
        Calling {
            // Dropped before the lease.
            #[pin]
            future: F,
            lease: Option<Arc<Kept<L>>>,
        },
        Refused { kind: RejectionKind },
        Done,
    }
}

// ===== impl ResponseFuture =====

impl<F, L> ResponseFuture<F, L> {
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
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let StateProj::Calling { future, lease } = self.as_mut().project().state.project() else {
            return Poll::Ready(Err(self.refuse()));
        };
        // Out of the future while it is polled, so that a panic gives the lease back.
        let own = lease.take();
        let poll = future.poll(cx);
        match &poll {
            Poll::Pending => *lease = own,
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => count(own.as_deref(), error),
        }
        poll
    }
}

/// The layer of the key, or what is inside of it, may have refused the call.
#[cold]
fn count<L, E: Reject>(kept: Option<&Kept<L>>, error: &E) {
    if let (Some(kept), Some(rejection)) = (kept, error.as_rejection()) {
        kept.refusals().count(rejection.kind());
    }
}

impl<F, L> ResponseFuture<F, L> {
    #[cold]
    fn refuse<E: Reject>(self: Pin<&mut Self>) -> E {
        let mut state = self.project().state;
        let StateProj::Refused { kind } = state.as_mut().project() else {
            panic!("a call was polled after it had been refused");
        };
        let kind = *kind;
        state.set(State::Done);
        E::from_rejection(Rejection::new(kind, LAYER))
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
