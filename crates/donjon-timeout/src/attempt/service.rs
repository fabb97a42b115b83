use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use donjon_core::Reject;
use tower_service::Service;

use super::TimeoutFuture;
use crate::{Any, Finish, Form, shared::Shared};

/// A service whose calls may each take so long. Made by [`TimeoutLayer`](crate::TimeoutLayer).
#[derive(Clone, Debug)]
pub struct Timeout<S, M = Any> {
    inner: S,
    shared: Arc<Shared>,
    on: bool,
    /// The timeout was zero when this instance was asked for readiness, so the inner one was not asked.
    refuse: bool,
    form: M,
}

// ===== impl Timeout =====

impl<S, M> Timeout<S, M> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>, on: bool, form: M) -> Self {
        Self { inner, shared, on, refuse: false, form }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    fn timeout(&self) -> Option<Duration> {
        if self.on { self.shared.timeout() } else { None }
    }
}

impl<S, M, R> Service<R> for Timeout<S, M>
where
    S: Service<R>,
    S::Error: Reject,
    M: Form<R> + Finish<S::Response> + Clone,
{
    type Response = M::Response;
    type Error = S::Error;
    type Future = TimeoutFuture<S::Future, M>;

    /// The readiness of the inner service; it is not asked while the timeout is zero and every call will be refused.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Decided here and not in `call`: an instance that was made ready, and is then not called, would keep what it
        // has reserved.
        self.refuse = self.timeout() == Some(Duration::ZERO);
        if !self.refuse
            && let Err(error) = ready!(self.inner.poll_ready(cx))
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: R) -> Self::Future {
        if self.refuse {
            return TimeoutFuture::refused(self.shared.ticket(), self.form.clone());
        }
        let timeout = if self.on { self.form.attempt(&req, self.shared.timeout()) } else { None };
        TimeoutFuture::new(self.inner.call(req), timeout, self.shared.ticket(), self.form.clone())
    }
}
