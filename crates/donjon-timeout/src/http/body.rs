use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use donjon_core::{BoxError, CallError, Phase, Reject};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{form::Watch, timer};

pin_project! {
    /// A response body whose time is that of its call. Made by [`DeadlineLayer::http`](crate::DeadlineLayer::http) and
    /// [`TimeoutLayer::http`](crate::TimeoutLayer::http).
    ///
    /// Each of its polls runs in the scope of the call. Once the time has passed, the next read is an error that
    /// carries the refusal ([`Reject::as_rejection`]), whatever was there to be read, and the body inside is dropped:
    /// also one that always has more. A body that says that it has ended ([`Body::is_end_stream`]) is never late. The
    /// clock is read once for each frame, and a body that is pending allocates its timer.
    pub struct TimedBody<B> {
        #[pin]
        inner: Option<B>,
        // Boxed, and only once the body is pending: a response is moved through every layer, and a timer is large.
        sleep: Option<Pin<Box<Sleep>>>,
        watch: Watch,
    }
}

// ===== impl TimedBody =====

impl<B> TimedBody<B> {
    pub(crate) const fn new(inner: B, watch: Watch) -> Self {
        Self { inner: Some(inner), sleep: None, watch }
    }
}

impl<B> Body for TimedBody<B>
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

        let late = !inner.is_end_stream() && this.watch.until.is_some_and(|at| at <= Instant::now());
        if !late {
            let poll = match &mut this.watch.scope {
                Some(scope) => scope.enter(|| inner.poll_frame(cx)),
                None => inner.poll_frame(cx),
            };
            match poll {
                Poll::Ready(Some(Ok(frame))) => return Poll::Ready(Some(Ok(frame))),
                Poll::Ready(end) => {
                    this.inner.set(None);
                    *this.sleep = None;
                    return Poll::Ready(end.map(|result| result.map_err(CallError::new)));
                }
                Poll::Pending => {}
            }
            let Some(at) = this.watch.until else {
                return Poll::Pending;
            };
            let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if !timer::has_fired(sleep.as_mut(), cx) {
                return Poll::Pending;
            }
        }

        this.inner.set(None);
        *this.sleep = None;
        Poll::Ready(Some(Err(CallError::from_rejection(this.watch.ticket.reject(Phase::Body)))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> fmt::Debug for TimedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimedBody").field("until", &self.watch.until).finish_non_exhaustive()
    }
}
