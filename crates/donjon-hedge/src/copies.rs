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

impl<S, Req> Hedged<S, Req, S::Future>
where
    S: Service<Req>,
{
    /// Sends it, if its service is ready. Asked only while it is unsent.
    pub(crate) fn poll_send(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let mut this = self.project();
        let StateProj::Ready { service, req } = this.state.as_mut().project() else {
            unreachable!("it is sent once");
        };
        ready!(service.poll_ready(cx))?;
        let future = service.call(req.take().expect("it is taken once, and then the state is another"));
        *this.began = this.is_measured.then(Instant::now);
        this.state.set(State::Running { future });
        Poll::Ready(Ok(()))
    }

    /// Its answer. Asked only after it was sent.
    pub(crate) fn poll_answer(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Response, S::Error>> {
        match self.project().state.project() {
            StateProj::Running { future } => future.poll(cx),
            StateProj::Ready { .. } => unreachable!("it was sent"),
        }
    }
}
