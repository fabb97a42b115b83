//! A layer that does nothing, or does nothing in a wrong way.

use std::{
    future::{pending, poll_fn},
    mem,
    panic::resume_unwind,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use donjon_core::{CallError, Deadline, Phase, RejectionKind, Scope};
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::sleep;
use tower::{Layer, Service};

use super::{BoxFuture, ready, rejected};

/// How a layer that does nothing does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrap {
    Correctly,
    /// Correct: always ready, as a deadline layer is.
    ReadiesInTheCall,
    ReadiesInTheCallAndStartsLate,
    ReadiesInTheCallForEver,
    ChangesTheRequest,
    ChangesTheResponse,
    ChangesTheError,
    ChangesTheErrorOfReadiness,
    CallsAClone,
    ReadiesASecondOneFirst,
    ForgetsToWake,
    WakesTheFirstOnly,
    WakesItself,
    PollsAtIntervals,
    PollsTwice,
    PollsAfterTheEnd,
    MakesATimer,
    Spawns,
    SpawnsTheCall,
    KeepsAClone,
    LosesTheCriticality,
    LosesTheScope,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct WrapLayer(pub(crate) Wrap);

#[derive(Clone)]
pub(crate) struct Wrapped<S> {
    inner: S,
    how: Wrap,
}

/// A message that can be changed.
pub(crate) trait Change {
    fn change(&mut self);
}

impl Change for u64 {
    fn change(&mut self) {
        *self ^= 1 << 40;
    }
}

impl Change for Request<Full<Bytes>> {
    fn change(&mut self) {
        *self.body_mut() = Full::new(Bytes::from_static(b"ca"));
    }
}

impl Change for Response<Full<Bytes>> {
    fn change(&mut self) {
        *self.body_mut() = Full::new(Bytes::from_static(b"answer"));
    }
}

impl<S> Layer<S> for WrapLayer {
    type Service = Wrapped<S>;

    fn layer(&self, inner: S) -> Wrapped<S> {
        Wrapped { inner, how: self.0 }
    }
}

impl<S, Req> Service<Req> for Wrapped<S>
where
    S: Service<Req, Error = CallError> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Change + Send + 'static,
    Req: Change + Send + 'static,
{
    type Response = S::Response;
    type Error = CallError;
    type Future = BoxFuture<Result<S::Response, CallError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        if self.how.readies_in_the_call() {
            return Poll::Ready(Ok(()));
        }
        let polled = self.inner.poll_ready(cx);
        if self.how == Wrap::ChangesTheErrorOfReadiness {
            return polled.map_err(|error| CallError::new(format!("wrapped: {error}")));
        }
        polled
    }

    fn call(&mut self, mut req: Req) -> Self::Future {
        let how = self.how;
        let inner = &mut self.inner;
        match how {
            Wrap::Correctly | Wrap::ChangesTheErrorOfReadiness => Box::pin(inner.call(req)),
            Wrap::ReadiesInTheCall | Wrap::ReadiesInTheCallAndStartsLate | Wrap::ReadiesInTheCallForEver => {
                let mut inner = inner.clone();
                Box::pin(async move {
                    let deadline = Deadline::current();
                    let wait = if how == Wrap::ReadiesInTheCallForEver { Deadline::never() } else { deadline };
                    let was_pending = ready(&mut inner, wait).await?;
                    if was_pending && how != Wrap::ReadiesInTheCallAndStartsLate && deadline.has_passed() {
                        return Err(rejected(RejectionKind::DeadlineExceeded, Phase::Ready));
                    }
                    inner.call(req).await
                })
            }
            Wrap::ChangesTheRequest => {
                req.change();
                Box::pin(inner.call(req))
            }
            Wrap::ChangesTheResponse => {
                let future = inner.call(req);
                Box::pin(async move {
                    future.await.map(|mut response| {
                        response.change();
                        response
                    })
                })
            }
            Wrap::ChangesTheError => {
                let future = inner.call(req);
                Box::pin(async move { future.await.map_err(|error| CallError::new(format!("wrapped: {error}"))) })
            }
            Wrap::CallsAClone => {
                drop(mem::replace(inner, inner.clone()));
                Box::pin(inner.call(req))
            }
            Wrap::ReadiesASecondOneFirst => {
                let clone = inner.clone();
                let mut readied = mem::replace(inner, clone.clone());
                let mut second = clone;
                Box::pin(async move {
                    ready(&mut second, Deadline::current()).await?;
                    drop(second);
                    readied.call(req).await
                })
            }
            Wrap::ForgetsToWake => {
                let mut future = Box::pin(inner.call(req));
                let mut was_pending = false;
                Box::pin(poll_fn(move |cx| {
                    if was_pending {
                        // Once more pending, and nobody knows.
                        was_pending = false;
                        return Poll::Pending;
                    }
                    let polled = future.as_mut().poll(cx);
                    was_pending = polled.is_pending();
                    polled
                }))
            }
            Wrap::WakesTheFirstOnly => {
                let mut future = Box::pin(inner.call(req));
                let mut first = None;
                Box::pin(poll_fn(move |cx| {
                    let waker = first.get_or_insert_with(|| cx.waker().clone());
                    future.as_mut().poll(&mut Context::from_waker(waker))
                }))
            }
            Wrap::WakesItself => {
                let mut future = Box::pin(inner.call(req));
                Box::pin(poll_fn(move |cx| {
                    let polled = future.as_mut().poll(cx);
                    if polled.is_pending() {
                        cx.waker().wake_by_ref();
                    }
                    polled
                }))
            }
            Wrap::PollsAtIntervals => {
                let mut future = Box::pin(inner.call(req));
                let mut timer = None;
                Box::pin(poll_fn(move |cx| {
                    loop {
                        let polled = future.as_mut().poll(cx);
                        if polled.is_ready() {
                            return polled;
                        }
                        let sleep = timer.get_or_insert_with(|| Box::pin(sleep(Duration::from_millis(200))));
                        if sleep.as_mut().poll(cx).is_pending() {
                            return Poll::Pending;
                        }
                        timer = None;
                    }
                }))
            }
            Wrap::PollsTwice => {
                let mut future = Box::pin(inner.call(req));
                Box::pin(poll_fn(move |cx| {
                    if let Poll::Ready(result) = future.as_mut().poll(cx) {
                        return Poll::Ready(result);
                    }
                    future.as_mut().poll(cx)
                }))
            }
            Wrap::PollsAfterTheEnd => {
                let mut future = Box::pin(inner.call(req));
                Box::pin(poll_fn(move |cx| {
                    let polled = future.as_mut().poll(cx);
                    if polled.is_ready() {
                        let _ = future.as_mut().poll(cx);
                    }
                    polled
                }))
            }
            Wrap::MakesATimer => {
                let timer = sleep(Duration::from_secs(60));
                let future = inner.call(req);
                Box::pin(async move {
                    tokio::select! {
                        biased;
                        result = future => result,
                        () = timer => Err(CallError::new("too late")),
                    }
                })
            }
            Wrap::Spawns => {
                let clone = inner.clone();
                tokio::spawn(async move {
                    pending::<()>().await;
                    drop(clone);
                });
                Box::pin(inner.call(req))
            }
            Wrap::SpawnsTheCall => {
                let mut inner = mem::replace(inner, inner.clone());
                // In `call`, where a panic is the caller's, and the reservation is used.
                let future = inner.call(req);
                let mut task = AbortOnDrop(tokio::spawn(Scope::current().wrap(future)));
                Box::pin(async move {
                    match (&mut task.0).await {
                        Ok(result) => result,
                        Err(error) => resume_unwind(error.into_panic()),
                    }
                })
            }
            Wrap::KeepsAClone => {
                mem::forget(inner.clone());
                Box::pin(inner.call(req))
            }
            Wrap::LosesTheCriticality => {
                let mut scope = Scope::root();
                let future = scope.enter(|| inner.call(req));
                Box::pin(scope.wrap(future))
            }
            Wrap::LosesTheScope => {
                // Where there is no scope: on another thread, for the time of `call`.
                let future = std::thread::scope(|threads| threads.spawn(|| inner.call(req)).join());
                Box::pin(future.unwrap_or_else(|payload| resume_unwind(payload)))
            }
        }
    }
}

impl Wrap {
    fn readies_in_the_call(self) -> bool {
        matches!(self, Self::ReadiesInTheCall | Self::ReadiesInTheCallAndStartsLate | Self::ReadiesInTheCallForEver)
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
