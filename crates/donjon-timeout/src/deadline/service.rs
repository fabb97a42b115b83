use std::{
    sync::Arc,
    task::{Context, Poll},
};

use donjon_core::{Reject, Scope};
use tower_service::Service;

use super::DeadlineFuture;
use crate::{Any, Finish, Form, shared::Shared};

/// A service whose calls have a deadline. Made by [`DeadlineLayer`](crate::DeadlineLayer).
#[derive(Clone, Debug)]
pub struct WithDeadline<S, M = Any> {
    inner: S,
    shared: Arc<Shared>,
    on: bool,
    form: M,
}

// ===== impl WithDeadline =====

impl<S, M> WithDeadline<S, M> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>, on: bool, form: M) -> Self {
        Self { inner, shared, on, form }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, M, R> Service<R> for WithDeadline<S, M>
where
    S: Service<R> + Clone,
    S::Error: Reject,
    M: Form<R> + Finish<S::Response> + Clone,
{
    type Response = M::Response;
    type Error = S::Error;
    type Future = DeadlineFuture<S, R, S::Future, M>;

    /// Always ready: the inner service is made ready inside of the call. Where everything is let through, as ready as
    /// the inner service.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.on { Poll::Ready(Ok(())) } else { self.inner.poll_ready(cx) }
    }

    fn call(&mut self, req: R) -> Self::Future {
        let (ticket, form) = (self.shared.ticket(), self.form.clone());
        if !self.on {
            return DeadlineFuture::let_through(self.inner.call(req), ticket, form);
        }
        let terms = self.form.deadline(&req, self.shared.timeout());
        let scope = Scope::current().with_deadline(terms.deadline);
        // The instance that stays is never made ready, so a clone of it may be used in its place.
        DeadlineFuture::new(self.inner.clone(), req, scope, terms.timeout, ticket, form)
    }
}
