use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use donjon_core::{Rejection, RejectionKind};
use http::{Request, Response, header::CONTENT_LENGTH};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Asked, Render, RespondBody};

/// A service that cannot fail, as the inside of a stack whose layers can refuse.
#[derive(Clone, Debug)]
pub struct Inside<S> {
    inner: S,
}

pin_project! {
    /// The future of [`Inside`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InsideFuture<F> {
        #[pin]
        inner: F,
    }
}

/// A stack whose refusals are responses: made by [`respond`](super::respond).
///
/// It is ready when the stack is. If the stack fails in its readiness, it is called no more for that call: the failure
/// is the answer.
pub struct Respond<S, R> {
    stack: S,
    render: R,
    retry_after: Option<Duration>,
    /// What the stack said in place of being ready, until it is answered.
    unready: Option<Rejection>,
}

pin_project! {
    /// The future of [`Respond`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, R> {
        #[pin]
        state: State<F>,
        render: R,
        retry_after: Option<Duration>,
        asked: Asked,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Running { #[pin] future: F },
        Refused { rejection: Option<Rejection> },
    }
}

// ===== impl Inside =====

impl<S> Inside<S> {
    pub(super) const fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, Req> Service<Req> for Inside<S>
where
    S: Service<Req, Error = Infallible>,
{
    type Response = S::Response;
    type Error = Rejection;
    type Future = InsideFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        self.inner.poll_ready(cx).map_err(|never| match never {})
    }

    fn call(&mut self, request: Req) -> Self::Future {
        InsideFuture { inner: self.inner.call(request) }
    }
}

impl<F, T> Future for InsideFuture<F>
where
    F: Future<Output = Result<T, Infallible>>,
{
    type Output = Result<T, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map_err(|never| match never {})
    }
}

// ===== impl Respond =====

impl<S, R> Respond<S, R> {
    pub(super) const fn new(stack: S, render: R, retry_after: Option<Duration>) -> Self {
        Self { stack, render, retry_after, unready: None }
    }
}

impl<S, R, A, B> Service<Request<A>> for Respond<S, R>
where
    S: Service<Request<A>, Response = Response<B>, Error = Rejection>,
    R: Render + Clone,
{
    type Response = Response<RespondBody<B>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.unready.is_none()
            && let Err(rejection) = ready!(self.stack.poll_ready(cx))
        {
            self.unready = Some(rejection);
        }
        Poll::Ready(Ok(()))
    }

    // The request is moved once, and what is made is written where it belongs: both are large.
    fn call(&mut self, request: Request<A>) -> Self::Future {
        let asked = Asked::of(&request);
        if let Some(rejection) = self.unready.take() {
            return ResponseFuture {
                state: State::Refused { rejection: Some(rejection) },
                render: self.render.clone(),
                retry_after: self.retry_after,
                asked,
            };
        }
        ResponseFuture {
            state: State::Running { future: self.stack.call(request) },
            render: self.render.clone(),
            retry_after: self.retry_after,
            asked,
        }
    }
}

/// A clone has not been readied, so it has no refusal to give either.
impl<S: Clone, R: Clone> Clone for Respond<S, R> {
    fn clone(&self) -> Self {
        Self::new(self.stack.clone(), self.render.clone(), self.retry_after)
    }
}

impl<S: fmt::Debug, R> fmt::Debug for Respond<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Respond").field("stack", &self.stack).field("unready", &self.unready).finish_non_exhaustive()
    }
}

// ===== impl ResponseFuture =====

impl<F, R, B> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<B>, Rejection>>,
    R: Render,
{
    type Output = Result<Response<RespondBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let rejection = match this.state.project() {
            StateProj::Running { future } => match ready!(future.poll(cx)) {
                Ok(response) => return Poll::Ready(Ok(response.map(RespondBody::stack))),
                Err(rejection) => rejection,
            },
            StateProj::Refused { rejection } => rejection.take().expect("polled after it has completed"),
        };
        let rejection = told(rejection, *this.retry_after);
        let mut response = this.render.render(&rejection, *this.asked);
        if this.asked.head {
            // An answer to HEAD has no content. hyper sees to that in HTTP/1.1, and not in HTTP/2.
            let length = std::mem::take(response.body_mut()).len();
            response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        Poll::Ready(Ok(response.map(RespondBody::refusal)))
    }
}

/// The refusal with a time to come back, where one makes sense and the layer has said none. A rate always knows: where it
/// says none, such a call is refused for good.
fn told(rejection: Rejection, after: Option<Duration>) -> Rejection {
    let at_the_door =
        matches!(rejection.kind(), RejectionKind::Overloaded | RejectionKind::CircuitOpen | RejectionKind::NoEndpoint);
    match (rejection.retry_after(), after) {
        (None, Some(after)) if at_the_door => rejection.with_retry_after(after),
        _ => rejection,
    }
}

impl<F, R> fmt::Debug for ResponseFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("asked", &self.asked).finish_non_exhaustive()
    }
}
