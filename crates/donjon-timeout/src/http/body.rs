use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use donjon_core::{BoxError, CallError, Phase, Reject, RejectionKind};
use donjon_http::respond::grpc_trailers;
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
    /// also one that always has more. A body that says that it has ended ([`Body::is_end_stream`]), or has given its
    /// trailers, is never late. The clock is read once for each frame, and a body that is pending allocates its timer.
    ///
    /// A response of gRPC (by its `content-type`) that is late for its deadline ends with trailers in place of an error:
    /// `grpc-status: 4`, DEADLINE_EXCEEDED. So its reader is told why, and not by a reset of the stream. An attempt that
    /// takes too long stays an error, for whoever might try again.
    pub struct TimedBody<B> {
        #[pin]
        inner: Option<B>,
        // Boxed, and only once the body is pending: a response is moved through every layer, and a timer is large.
        sleep: Option<Pin<Box<Sleep>>>,
        watch: Watch,
        // Whether to be late is told in trailers.
        grpc: bool,
    }
}

// ===== impl TimedBody =====

impl<B> TimedBody<B> {
    pub(crate) const fn new(inner: B, watch: Watch, grpc: bool) -> Self {
        Self { inner: Some(inner), sleep: None, watch, grpc }
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
                Poll::Ready(Some(Ok(frame))) => {
                    if frame.is_trailers() {
                        // Nothing comes after them.
                        this.inner.set(None);
                        *this.sleep = None;
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
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
        let rejection = this.watch.ticket.reject(Phase::Body);
        Poll::Ready(Some(if *this.grpc && rejection.kind() == RejectionKind::DeadlineExceeded {
            Ok(Frame::trailers(grpc_trailers(&rejection)))
        } else {
            Err(CallError::from_rejection(rejection))
        }))
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
