//! The control: a service that is ready at once and does next to nothing.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    marker::PhantomData,
    task::{Context, Poll},
};

use tower::Service;

/// Answers a number with the next one, at once.
#[derive(Debug)]
pub struct Bare<E = Infallible>(PhantomData<fn() -> E>);

impl<E> Bare<E> {
    /// The service.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E> Default for Bare<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Clone for Bare<E> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<E> Service<u64> for Bare<E> {
    type Response = u64;
    type Error = E;
    type Future = Ready<Result<u64, E>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        ready(Ok(request.wrapping_add(1)))
    }
}
