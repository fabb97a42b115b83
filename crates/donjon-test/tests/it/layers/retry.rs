//! Three attempts, ten milliseconds apart.

use std::{
    future::poll_fn,
    mem,
    task::{Context, Poll},
    time::Duration,
};

use donjon_core::{CallError, Deadline, Fresh, Replay, Scope};
use tower::{Layer, Service};

use super::{BoxFuture, ready};

const PAUSE: Duration = Duration::from_millis(10);

/// What a retry does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryFault {
    None,
    CallsWhatIsNotReady,
    SleepsBeyondTheDeadline,
    StartsAfterTheDeadline,
    SendsTwiceWhatIsAnsweredAtOnce,
    RepeatsWithoutTheScope,
    ChangesTheErrorOfReadiness,
    ReadiesBeyondTheDeadline,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryLayer(pub(crate) RetryFault);

#[derive(Clone)]
pub(crate) struct Retry<S> {
    inner: S,
    fault: RetryFault,
}

impl Fresh for RetryLayer {
    fn fresh(&self) -> Self {
        *self
    }

    fn bypass(&self) -> Self {
        *self
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry { inner, fault: self.0 }
    }
}

impl<S, Req> Service<Req> for Retry<S>
where
    S: Service<Req, Error = CallError> + Clone + 'static,
    Req: Replay + 'static,
{
    type Response = S::Response;
    type Error = CallError;
    type Future = BoxFuture<Result<S::Response, CallError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        let fault = self.fault;
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let mut next = req.replay();
        let first = inner.call(req);
        Box::pin(async move {
            let mut was_pending = false;
            let mut first = Box::pin(first);
            let mut result = poll_fn(|cx| {
                let polled = first.as_mut().poll(cx);
                was_pending |= polled.is_pending();
                polled
            })
            .await;
            drop(first);
            let twice = fault == RetryFault::SendsTwiceWhatIsAnsweredAtOnce && !was_pending;
            for attempt in 2..=3 {
                if result.is_ok() && !(twice && attempt == 2) {
                    break;
                }
                let Some(req) = next.take() else { break };
                next = req.replay();
                let deadline = Deadline::current();
                if fault != RetryFault::SleepsBeyondTheDeadline
                    && fault != RetryFault::StartsAfterTheDeadline
                    && !deadline.allows(PAUSE)
                {
                    break;
                }
                // After the deadline nobody waits, and yet work starts.
                let late = fault == RetryFault::StartsAfterTheDeadline && deadline.has_passed();
                if result.is_err() && !late {
                    let pause = if fault == RetryFault::SleepsBeyondTheDeadline { 10 * PAUSE } else { PAUSE };
                    tokio::time::sleep(pause).await;
                }
                let late = deadline.has_passed();
                if late && fault == RetryFault::SleepsBeyondTheDeadline {
                    break;
                }
                if fault != RetryFault::CallsWhatIsNotReady {
                    let for_ever = late || fault == RetryFault::ReadiesBeyondTheDeadline;
                    let wait = if for_ever { Deadline::never() } else { deadline };
                    let ready = ready(&mut inner, wait).await;
                    if ready.is_err() && fault == RetryFault::ChangesTheErrorOfReadiness {
                        return Err(CallError::new("not ready"));
                    }
                    ready?;
                }
                let mut scope = Scope::current().without_deadline().with_attempt(attempt);
                if fault == RetryFault::RepeatsWithoutTheScope {
                    scope = Scope::root().with_attempt(attempt);
                }
                let future = scope.enter(|| inner.call(req));
                result = scope.wrap(future).await;
            }
            result
        })
    }
}
