use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use donjon_core::{BoxError, CallError};
use pin_project_lite::pin_project;
use tower_service::Service;

/// The bottom of the stack: whatever error the transport has becomes a [`CallError`], which can carry a refusal.
#[derive(Clone, Copy, Debug)]
pub struct AnyError<T> {
    inner: T,
}

pin_project! {
    /// The response future of [`AnyError`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct AnyErrorFuture<F> {
        #[pin]
        inner: F,
    }
}

// ===== impl AnyError =====

impl<T> AnyError<T> {
    pub(super) const fn new(inner: T) -> Self {
        Self { inner }
    }
}

impl<T, R> Service<R> for AnyError<T>
where
    T: Service<R>,
    T::Error: Into<BoxError>,
{
    type Response = T::Response;
    type Error = CallError;
    type Future = AnyErrorFuture<T::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx).map_err(CallError::new)
    }

    fn call(&mut self, request: R) -> Self::Future {
        AnyErrorFuture { inner: self.inner.call(request) }
    }
}

// ===== impl AnyErrorFuture =====

impl<F, Res, Err> Future for AnyErrorFuture<F>
where
    F: Future<Output = Result<Res, Err>>,
    Err: Into<BoxError>,
{
    type Output = Result<Res, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.project().inner.poll(cx));
        Poll::Ready(result.map_err(CallError::new))
    }
}
