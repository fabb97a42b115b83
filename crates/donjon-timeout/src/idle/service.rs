use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::IdleBody;
use crate::shared::{Shared, Ticket};

/// A service whose response bodies may not be silent for long. Made by [`IdleTimeoutLayer`](crate::IdleTimeoutLayer).
#[derive(Clone, Debug)]
pub struct IdleTimeout<S> {
    inner: S,
    shared: Arc<Shared>,
    on: bool,
}

/// A service whose request bodies may not be silent for long. Made by
/// [`RequestIdleTimeoutLayer`](crate::RequestIdleTimeoutLayer).
#[derive(Clone, Debug)]
pub struct RequestIdleTimeout<S> {
    inner: S,
    shared: Arc<Shared>,
    on: bool,
}

pin_project! {
    /// The call of an [`IdleTimeout`].
    #[derive(Debug)]
    pub struct IdleFuture<F> {
        #[pin]
        inner: F,
        timeout: Option<Duration>,
        ticket: Ticket,
    }
}

// ===== impl IdleTimeout =====

impl<S> IdleTimeout<S> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>, on: bool) -> Self {
        Self { inner, shared, on }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, R, B> Service<R> for IdleTimeout<S>
where
    S: Service<R, Response = Response<B>>,
{
    type Response = Response<IdleBody<B>>;
    type Error = S::Error;
    type Future = IdleFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: R) -> Self::Future {
        let timeout = if self.on { self.shared.timeout() } else { None };
        IdleFuture { inner: self.inner.call(req), timeout, ticket: self.shared.ticket() }
    }
}

// ===== impl RequestIdleTimeout =====

impl<S> RequestIdleTimeout<S> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>, on: bool) -> Self {
        Self { inner, shared, on }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, B> Service<Request<B>> for RequestIdleTimeout<S>
where
    S: Service<Request<IdleBody<B>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Request<B>) -> Self::Future {
        let timeout = if self.on { self.shared.timeout() } else { None };
        let ticket = self.shared.ticket();
        self.inner.call(req.map(|body| IdleBody::new(body, timeout, ticket)))
    }
}

// ===== impl IdleFuture =====

impl<F, B, E> Future for IdleFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<IdleBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        Poll::Ready(result.map(|res| res.map(|body| IdleBody::new(body, *this.timeout, *this.ticket))))
    }
}
