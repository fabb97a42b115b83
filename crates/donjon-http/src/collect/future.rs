use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use donjon_core::{BoxError, Reject, Rejection};
use http::{
    HeaderMap, Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    response,
};
use http_body::Body;
use pin_project_lite::pin_project;

use super::CollectedBody;
use crate::{classify, respond};

/// A body that has sent more empty frames than this streams on: it could go on so without end, and never be pending.
pub(crate) const EMPTY_FRAMES: usize = 1024;

pin_project! {
    /// The future of [`Collect`](super::Collect): the head of the response, and then its body.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
        cap: Option<usize>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Head { #[pin] future: F },
        Body { parts: Option<response::Parts>, body: CollectedBody<B> },
        Done,
    }
}

// ===== impl ResponseFuture =====

impl<F, B> ResponseFuture<F, B> {
    pub(super) const fn new(future: F, cap: Option<usize>) -> Self {
        Self { state: State::Head { future }, cap }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    E: Reject,
{
    type Output = Result<Response<CollectedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let result = match this.state.as_mut().project() {
                StateProj::Head { future } => match ready!(future.poll(cx)) {
                    Ok(response) => {
                        let wait = this.cap.is_some_and(|cap| waits_for(&response, cap));
                        let (parts, body) = response.into_parts();
                        let body = CollectedBody::streaming(body);
                        if wait {
                            this.state.set(State::Body { parts: Some(parts), body });
                            continue;
                        }
                        Ok(Response::from_parts(parts, body))
                    }
                    Err(error) => Err(error),
                },
                StateProj::Body { parts, body } => {
                    let read = ready!(body.poll_read(this.cap.unwrap_or(0), cx));
                    let body = std::mem::take(body);
                    let parts = parts.take().expect("the parts are there until the body is read");
                    match read {
                        Ok(()) => Ok(Response::from_parts(parts, body)),
                        Err(error) => Err(E::from_rejection(incomplete("collect", error.into()))),
                    }
                }
                StateProj::Done => panic!("polled after it has completed"),
            };
            // What the call held (the inner future, the body) goes now, though the finished future may stay alive.
            this.state.set(State::Done);
            return Poll::Ready(result);
        }
    }
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Head { .. } => "head",
            State::Body { .. } => "body",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture").field("state", &state).field("cap", &self.cap).finish()
    }
}

// ===== Reading =====

impl<B: Body<Data = Bytes> + Unpin> CollectedBody<B> {
    /// Reads on until the body has ended, or more than `cap` bytes or very many empty frames were there.
    ///
    /// # Errors
    ///
    /// If the body breaks off. What was read before that is kept.
    pub fn poll_read(&mut self, cap: usize, cx: &mut Context<'_>) -> Poll<Result<(), B::Error>> {
        while let Some(rest) = &mut self.rest {
            if !rest.is_end_stream() {
                match ready!(Pin::new(&mut *rest).poll_frame(cx)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(chunk) => {
                            self.read.push(chunk);
                            if self.read.bytes() > cap || self.read.empty() > EMPTY_FRAMES {
                                break;
                            }
                            continue;
                        }
                        // Trailers end a body.
                        Err(frame) => self.trailers = frame.into_trailers().ok().map(Box::new),
                    },
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    None => {}
                }
            }
            self.rest = None;
        }
        Poll::Ready(Ok(()))
    }
}

/// Whether the body of this response is waited for.
fn waits_for<B: Body>(response: &Response<B>, cap: usize) -> bool {
    response.status().is_success() && is_bounded(response, cap)
}

/// Whether the body of this response can be expected to end, and to have at most `cap` bytes: it announces no more, and
/// is neither an event stream nor gRPC.
#[must_use]
pub fn is_bounded<B: Body>(response: &Response<B>, cap: usize) -> bool {
    let announced = announced(response.headers()).unwrap_or(0).max(response.body().size_hint().lower());
    announced <= cap as u64 && !is_stream(response.headers())
}

/// How many bytes a `Content-Length` says that there are.
#[must_use]
pub fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_stream(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return false };
    let essence = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    respond::is_grpc(headers)
        || essence.eq_ignore_ascii_case(b"text/event-stream")
        || essence.eq_ignore_ascii_case(b"multipart/x-mixed-replace")
}

/// The refusal of an inner layer (a timeout of the body, say) stays itself; anything else is a body that broke off.
pub(crate) fn incomplete(layer: &'static str, error: BoxError) -> Rejection {
    match classify::find::<Rejection>(&*error) {
        Some(rejection) => rejection.clone(),
        None => Rejection::body_incomplete(layer, Arc::from(error)),
    }
}
