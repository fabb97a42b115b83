//! The copies of a call beside the first.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

/// The hedges of a call that are out, oldest first. Empty in all but a few calls.
pub(crate) type Copies<S, Req, F> = Vec<Pin<Box<Hedged<S, Req, F>>>>;

pin_project! {
    /// One hedge: its service becomes ready, then it runs.
    pub(crate) struct Hedged<S, Req, F> {
        #[pin]
        state: State<S, Req, F>,
        is_measured: bool,
        // When it was sent, if that is measured.
        began: Option<Instant>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, Req, F> {
        Ready { service: S, req: Option<Req> },
        Running { #[pin] future: F },
    }
}

// ===== impl Hedged =====

impl<S, Req, F> Hedged<S, Req, F> {
    /// A hedge that is sent as soon as its service is ready.
    pub(crate) const fn waiting(service: S, req: Req, is_measured: bool) -> Self {
        Self { state: State::Ready { service, req: Some(req) }, is_measured, began: None }
    }

    /// A hedge that is running: its service was ready at once.
    pub(crate) fn running(future: F, is_measured: bool) -> Self {
        Self { state: State::Running { future }, is_measured, began: is_measured.then(Instant::now) }
    }

    /// Whether it waits for its service to become ready.
    pub(crate) const fn is_unsent(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// When it was sent, asked once.
    pub(crate) fn take_began(self: Pin<&mut Self>) -> Option<Instant> {
        self.project().began.take()
    }
}

impl<S, Req> Future for Hedged<S, Req, S::Future>
where
    S: Service<Req>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let future = match this.state.as_mut().project() {
                StateProj::Ready { service, req } => {
                    ready!(service.poll_ready(cx))?;
                    service.call(req.take().expect("it is taken once, and then the state is another"))
                }
                StateProj::Running { future } => break future.poll(cx),
            };
            *this.began = this.is_measured.then(Instant::now);
            this.state.set(State::Running { future });
        }
    }
}
