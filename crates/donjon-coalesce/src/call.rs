use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use donjon_core::{Deadline, Phase, Reject, Rejection, RejectionKind, Scope};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use crate::{Run, joined::poll_timer};

pin_project! {
    /// Readies a service and calls it: what [runs](crate::Lead::run) in a flight. `F` is the future of the service.
    ///
    /// If the service is not ready at once, and is so only after the ambient deadline, it is not called.
    #[must_use = "futures do nothing unless polled"]
    pub struct Call<S, R, F> {
        layer: &'static str,
        #[pin]
        stage: Stage<S, R, F>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, R, F> {
        Readies { inner: S, request: Option<R>, waited: bool },
        Runs { #[pin] future: F },
    }
}

pin_project! {
    /// A [`Call`] that nobody joins. It does not wait for readiness beyond its deadline.
    #[must_use = "futures do nothing unless polled"]
    pub struct Alone<S, R, F> {
        #[pin]
        call: Call<S, R, F>,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

// ===== impl Call =====

impl<S, R, F> Call<S, R, F> {
    /// A call of `inner`, by the layer of this name.
    pub fn new(layer: &'static str, inner: S, request: R) -> Self {
        Self { layer, stage: Stage::Readies { inner, request: Some(request), waited: false } }
    }
}

impl<S, R> Future for Call<S, R, S::Future>
where
    S: Service<R>,
    S::Error: Reject,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (layer, mut stage) = (*this.layer, this.stage);
        loop {
            match stage.as_mut().project() {
                StageProj::Readies { inner, request, waited } => {
                    let ready = inner.poll_ready(cx);
                    *waited |= ready.is_pending();
                    ready!(ready)?;
                    // Nothing starts after its deadline, though readiness has come.
                    if *waited && Scope::current().has_passed() {
                        return Poll::Ready(Err(S::Error::from_rejection(not_ready(layer))));
                    }
                    let future = inner.call(request.take().expect("it is called once"));
                    stage.set(Stage::Runs { future });
                }
                StageProj::Runs { future } => return future.poll(cx),
            }
        }
    }
}

impl<S, R> Run for Call<S, R, S::Future>
where
    S: Service<R>,
    S::Error: Reject,
{
    fn has_begun(&self) -> bool {
        matches!(self.stage, Stage::Runs { .. })
    }
}

// ===== impl Alone =====

impl<S, R, F> Alone<S, R, F> {
    /// A call of `inner`, by the layer of this name.
    pub fn new(layer: &'static str, inner: S, request: R) -> Self {
        Self { call: Call::new(layer, inner, request), timer: None }
    }
}

impl<S, R> Future for Alone<S, R, S::Future>
where
    S: Service<R>,
    S::Error: Reject,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let poll = this.call.as_mut().poll(cx);
        if poll.is_pending()
            && !this.call.has_begun()
            && let Some(at) = Deadline::current().instant()
        {
            ready!(poll_timer(this.timer, at, cx));
            return Poll::Ready(Err(S::Error::from_rejection(not_ready(this.call.layer))));
        }
        poll
    }
}

fn not_ready(layer: &'static str) -> Rejection {
    Rejection::new(RejectionKind::DeadlineExceeded, layer).with_phase(Phase::Ready)
}

impl<S, R, F> fmt::Debug for Call<S, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("begun", &matches!(self.stage, Stage::Runs { .. })).finish_non_exhaustive()
    }
}

impl<S, R, F> fmt::Debug for Alone<S, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alone").field("call", &self.call).finish_non_exhaustive()
    }
}
