use std::{
    mem,
    task::{Context, Poll},
    time::Duration,
};

use donjon_core::{Deadline, Reject, Rejection, RejectionKind};
use donjon_http::deadline_header;
use http::{HeaderMap, Request};
use tower_service::Service;

use super::{PropagateFuture, layer::Settings};

/// A service that tells the next server how long is left. Made by
/// [`PropagateDeadlineLayer`](crate::PropagateDeadlineLayer).
#[derive(Clone, Debug)]
pub struct PropagateDeadline<S> {
    inner: S,
    settings: Settings,
}

// ===== impl PropagateDeadline =====

impl<S> PropagateDeadline<S> {
    pub(super) const fn new(inner: S, settings: Settings) -> Self {
        Self { inner, settings }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, B> Service<Request<B>> for PropagateDeadline<S>
where
    S: Service<Request<B>> + Clone,
    S::Error: Reject,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = PropagateFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut req: Request<B>) -> Self::Future {
        if self.settings.write(req.headers_mut()) {
            return PropagateFuture::new(self.inner.call(req));
        }
        // The readied instance is not called: what it has reserved goes back with it.
        let clone = self.inner.clone();
        drop(mem::replace(&mut self.inner, clone));
        PropagateFuture::refused(Rejection::new(RejectionKind::DeadlineExceeded, "propagate-deadline"))
    }
}

// ===== impl Settings =====

impl Settings {
    /// Writes what is left; says whether the request may be sent.
    fn write(&self, headers: &mut HeaderMap) -> bool {
        if self.off {
            return true;
        }
        let Some(left) = earlier(Deadline::current().remaining(), self.at_most) else {
            return true;
        };
        let left = deadline_header::read_valid(headers).map_or(left, |said| left.min(said));
        if self.grpc {
            deadline_header::write_grpc_timeout(headers, left);
            !left.is_zero()
        } else {
            deadline_header::write_timeout_ms(headers, left);
            left >= Duration::from_millis(1)
        }
    }
}

fn earlier(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
