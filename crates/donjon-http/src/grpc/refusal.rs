use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use donjon_core::{Fresh, Reject};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{RespondBody, respond::grpc_response};

/// Turns what a layer inside refuses into a response with a status of gRPC, for the client library outside.
///
/// Such a library knows nothing of a [`Rejection`](donjon_core::Rejection), and reports it as an unknown error. With
/// this outermost, a limit is `RESOURCE_EXHAUSTED`, a deadline `DEADLINE_EXCEEDED`, and the rest `UNAVAILABLE`, with the
/// kind of the refusal as its message. Errors without a refusal pass as they are.
///
/// What remains of an error after this is `S::Error`: in tonic's client, give it a stack whose error is `CallError`.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct RefusalLayer {
    off: bool,
}

/// The service of a [`RefusalLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Refusal<S> {
    inner: S,
    off: bool,
}

pin_project! {
    /// The future of [`Refusal`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct RefusalFuture<F> {
        #[pin]
        inner: F,
        off: bool,
    }
}

// ===== impl RefusalLayer =====

impl RefusalLayer {
    /// The layer; there is nothing to set.
    pub const fn new() -> Self {
        Self { off: false }
    }
}

impl Fresh for RefusalLayer {
    /// The same: there is no state.
    fn fresh(&self) -> Self {
        *self
    }

    fn bypass(&self) -> Self {
        Self { off: true }
    }
}

impl<S> Layer<S> for RefusalLayer {
    type Service = Refusal<S>;

    fn layer(&self, inner: S) -> Refusal<S> {
        Refusal { inner, off: self.off }
    }
}

// ===== impl Refusal =====

impl<S, A, B> Service<Request<A>> for Refusal<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Reject,
{
    type Response = Response<RespondBody<B>>;
    type Error = S::Error;
    type Future = RefusalFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        RefusalFuture { inner: self.inner.call(request), off: self.off }
    }
}

impl<F, B, E> Future for RefusalFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Reject,
{
    type Output = Result<Response<RespondBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match ready!(this.inner.poll(cx)) {
            Ok(response) => Ok(response.map(RespondBody::stack)),
            Err(error) => match error.as_rejection() {
                Some(rejection) if !*this.off => Ok(grpc_response(rejection).map(RespondBody::refusal)),
                _ => Err(error),
            },
        })
    }
}
