use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use donjon_core::{Phase, Reject};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::{Finish, form::Watch, shared::Ticket, timer};

pin_project! {
    /// The call of a [`Timeout`](crate::Timeout).
    ///
    /// # Panics
    ///
    /// When it is pending outside of a tokio runtime with time enabled, and when it is polled after it was ready.
    pub struct TimeoutFuture<F, M> {
        #[pin]
        inner: Option<F>,
        #[pin]
        sleep: Option<Sleep>,
        timeout: Option<Duration>,
        ticket: Ticket,
        form: M,
    }
}

// ===== impl TimeoutFuture =====

impl<F, M> TimeoutFuture<F, M> {
    pub(super) const fn new(inner: F, timeout: Option<Duration>, ticket: Ticket, form: M) -> Self {
        Self { inner: Some(inner), sleep: None, timeout, ticket, form }
    }

    /// A call that is refused without an inner one.
    pub(super) const fn refused(ticket: Ticket, form: M) -> Self {
        Self { inner: None, sleep: None, timeout: Some(Duration::ZERO), ticket, form }
    }
}

impl<F, M, T, E> Future for TimeoutFuture<F, M>
where
    F: Future<Output = Result<T, E>>,
    E: Reject,
    M: Finish<T>,
{
    type Output = Result<M::Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();

        if *this.timeout == Some(Duration::ZERO) {
            // What was called may have been sent by that, though it is not polled.
            let phase = if this.inner.is_some() { Phase::Attempt } else { Phase::Admission };
            this.inner.set(None);
            return Poll::Ready(Err(E::from_rejection(this.ticket.reject(phase))));
        }

        let fired = timer::fired(this.sleep.as_mut(), cx);
        let inner = this.inner.as_mut().as_pin_mut().expect("polled after it was ready");
        if let Poll::Ready(result) = inner.poll(cx) {
            this.inner.set(None);
            let watch = || {
                let armed = this.sleep.as_ref().as_pin_ref().map(|sleep| sleep.deadline());
                let until = armed.or_else(|| this.timeout.and_then(|timeout| Instant::now().checked_add(timeout)));
                Watch { scope: None, until, ticket: *this.ticket }
            };
            let result = result.map(|res| this.form.finish(res, watch));
            this.sleep.set(None);
            return Poll::Ready(result);
        }
        if !fired {
            if this.sleep.is_some() {
                return Poll::Pending;
            }
            match this.timeout.and_then(|timeout| Instant::now().checked_add(timeout)) {
                Some(at) => ready!(timer::arm(this.sleep.as_mut(), at, cx)),
                None => return Poll::Pending,
            }
        }

        this.inner.set(None);
        this.sleep.set(None);
        Poll::Ready(Err(E::from_rejection(this.ticket.reject(Phase::Attempt))))
    }
}

impl<F, M> fmt::Debug for TimeoutFuture<F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutFuture").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
