use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use donjon_core::{BoxError, CallError, Phase, Reject};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::{shared::Ticket, timer};

pin_project! {
    /// A body that may not be silent for long. Made by [`IdleTimeoutLayer`](crate::IdleTimeoutLayer) and
    /// [`RequestIdleTimeoutLayer`](crate::RequestIdleTimeoutLayer).
    ///
    /// The time counts from when a read found nothing, so that a reader who takes long between two reads is not held
    /// against the peer. After it the read is an error that carries the refusal, and the body inside is dropped.
    pub struct IdleBody<B> {
        #[pin]
        inner: Option<B>,
        #[pin]
        sleep: Option<Sleep>,
        timeout: Option<Duration>,
        ticket: Ticket,
    }
}

// ===== impl IdleBody =====

impl<B> IdleBody<B> {
    pub(crate) const fn new(inner: B, timeout: Option<Duration>, ticket: Ticket) -> Self {
        Self { inner: Some(inner), sleep: None, timeout, ticket }
    }
}

impl<B> Body for IdleBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = CallError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, CallError>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };

        let fired = timer::fired(this.sleep.as_mut(), cx);
        if let Poll::Ready(frame) = inner.poll_frame(cx) {
            this.sleep.set(None);
            if !matches!(frame, Some(Ok(_))) {
                this.inner.set(None);
            }
            return Poll::Ready(frame.map(|result| result.map_err(CallError::new)));
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
        Poll::Ready(Some(Err(CallError::from_rejection(this.ticket.reject(Phase::Body)))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> fmt::Debug for IdleBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdleBody").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
