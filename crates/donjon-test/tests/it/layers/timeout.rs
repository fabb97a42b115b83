//! A call ends after this long.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use donjon_core::{CallError, Phase, RejectionKind};
use tokio::time::sleep;
use tower::{Layer, Service};

use super::{BoxFuture, rejected};

/// What a timeout does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeoutFault {
    None,
    InnerCallHeldUntilDrop,
    TimerPolledOnce,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeoutLayer(pub(crate) Duration, pub(crate) TimeoutFault);

#[derive(Clone)]
pub(crate) struct Timeout<S>(S, Duration, TimeoutFault);

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout(inner, self.0, self.1)
    }
}

impl<S, Req> Service<Req> for Timeout<S>
where
    S: Service<Req, Error = CallError>,
    S::Future: 'static,
{
    type Response = S::Response;
    type Error = CallError;
    type Future = BoxFuture<Result<S::Response, CallError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        let mut inner = Some(Box::pin(self.0.call(req)));
        let (timeout, fault) = (self.1, self.2);
        let mut timer = None;
        Box::pin(poll_fn(move |cx| {
            let Some(future) = &mut inner else { return Poll::Pending };
            let mut polled = future.as_mut().poll(cx);
            if polled.is_pending() {
                let first = timer.is_none();
                let timer = timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
                let asked = first || fault != TimeoutFault::TimerPolledOnce;
                if timer.is_elapsed() || (asked && timer.as_mut().poll(cx).is_ready()) {
                    polled = Poll::Ready(Err(rejected(RejectionKind::AttemptTimeout, Phase::Attempt)));
                }
            }
            if polled.is_ready() && fault != TimeoutFault::InnerCallHeldUntilDrop {
                inner = None;
            }
            polled
        }))
    }
}
