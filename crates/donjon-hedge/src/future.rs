use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;

use crate::{
    Policy,
    call::{Call, Verdict, Which},
};

pin_project! {
    /// The future of [`Hedge`](crate::Hedge): the first copy of a call, and those that follow it.
    ///
    /// Dropping it drops whatever is out. `E` is the error of the service: that of a copy that has failed is kept while
    /// another one is out, so the future is `Send` when the inner one and the error are.
    ///
    /// # Panics
    ///
    /// When it is pending outside of a tokio runtime with time enabled, unless the call cannot be hedged; and when it is
    /// polled after it was ready.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<P, S, Req, F, E> {
        #[pin]
        first: Option<F>,
        #[pin]
        timer: Option<Sleep>,
        call: Call<P, S, Req, F, E>,
    }
}

// ===== impl ResponseFuture =====

impl<P, S, Req, F, E> ResponseFuture<P, S, Req, F, E> {
    pub(crate) const fn new(first: F, call: Call<P, S, Req, F, E>) -> Self {
        Self { first: Some(first), timer: None, call }
    }
}

impl<P, S, Req> Future for ResponseFuture<P, S, Req, S::Future, S::Error>
where
    S: Service<Req> + Clone,
    P: Policy<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        assert!(this.first.is_some() || this.call.is_hedged(), "the future of a hedge was polled after it had ended");
        // Asked before the copies, which may use up the task's cooperative budget; acted upon if they are pending.
        let mut fired = this.timer.as_mut().as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready());
        // Nothing is polled twice in one poll.
        let (mut is_polled, mut hedges_polled) = (false, 0);
        let mut failed = None;
        let result = loop {
            if !mem::replace(&mut is_polled, true)
                && let Some(first) = this.first.as_mut().as_pin_mut()
                && let Poll::Ready(result) = first.poll(cx)
            {
                this.first.set(None);
                let began = this.call.take_first();
                let verdict = this.call.ended(result, Which::First, began, false, &mut failed, cx);
                if let Verdict::Answer(result) = verdict {
                    break result;
                }
            }
            let first_is_out = this.first.is_some();
            if let Poll::Ready(result) = this.call.poll_hedges(cx, first_is_out, &mut hedges_polled, &mut failed) {
                break result;
            }
            if !fired {
                if this.timer.is_some() {
                    return Poll::Pending;
                }
                let Some(due) = this.call.next_due() else { return Poll::Pending };
                this.timer.set(Some(sleep_until(due)));
                let timer = this.timer.as_mut().as_pin_mut().expect("it was set a moment ago");
                if timer.poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
            this.timer.set(None);
            fired = false;
            this.call.due();
        };
        // Given back now, even if this future stays alive.
        this.first.set(None);
        this.timer.set(None);
        this.call.finish();
        Poll::Ready(result)
    }
}

impl<P, S, Req, F, E> fmt::Debug for ResponseFuture<P, S, Req, F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("call", &self.call).finish_non_exhaustive()
    }
}
