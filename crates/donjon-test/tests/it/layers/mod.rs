//! Layers that are as simple as can be, correct unless they are told to have a fault.

mod coalesce;
mod held;
mod limit;
mod rate;
mod retry;
mod timeout;
mod wrap;

use std::{future::poll_fn, pin::Pin};

use donjon_core::{CallError, Deadline, Phase, Reject, Rejection, RejectionKind};
use tower::Service;

pub(crate) use self::{
    coalesce::{CoalesceFault, CoalesceLayer},
    held::{HeldFault, HeldLayer},
    limit::{Fault, LimitLayer},
    rate::RateLayer,
    retry::{RetryFault, RetryLayer},
    timeout::{TimeoutFault, TimeoutLayer},
    wrap::{Wrap, WrapLayer},
};

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

pub(crate) fn rejected(kind: RejectionKind, phase: Phase) -> CallError {
    CallError::from_rejection(Rejection::new(kind, "test").with_phase(phase))
}

/// Ready, or an error: that of readiness, or that the deadline has passed. Says whether it had to wait.
pub(crate) async fn ready<S, Req>(service: &mut S, deadline: Deadline) -> Result<bool, CallError>
where
    S: Service<Req, Error = CallError>,
{
    let mut was_pending = false;
    let ready = poll_fn(|cx| {
        let polled = service.poll_ready(cx);
        was_pending |= polled.is_pending();
        polled
    });
    until(deadline, ready, Phase::Ready).await??;
    Ok(was_pending)
}

/// The future, or an error when the deadline passes first; makes a timer only for a future that is pending.
pub(crate) async fn until<F: Future>(deadline: Deadline, future: F, phase: Phase) -> Result<F::Output, CallError> {
    let Some(at) = deadline.instant() else { return Ok(future.await) };
    let mut future = Box::pin(future);
    let mut sleep = None;
    poll_fn(|cx| {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(cx) {
            return std::task::Poll::Ready(Ok(output));
        }
        let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        sleep.as_mut().poll(cx).map(|()| Err(rejected(RejectionKind::DeadlineExceeded, phase)))
    })
    .await
}
