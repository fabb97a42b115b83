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

    /// Always ready: the inner service is made ready inside of the call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: R) -> Self::Future {
        let mut scope = Scope::current();
        let mut timeout = None;
        if self.on {
            let terms = self.form.deadline(&req, self.shared.timeout());
            scope = scope.with_deadline(terms.deadline);
            timeout = terms.timeout;
        }
        // The instance that stays is never made ready, so a clone of it may be used in its place.
        DeadlineFuture::new(self.inner.clone(), req, scope, timeout, self.on, self.shared.ticket(), self.form.clone())
    }
}
