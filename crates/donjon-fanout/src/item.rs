use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use donjon_core::Phase;
use pin_project_lite::pin_project;
use tower_service::Service;

/// One result, with the place of its request in the source.
#[derive(Debug)]
pub(crate) struct Done<K, T, E> {
    pub(crate) index: usize,
    pub(crate) key: K,
    pub(crate) result: Result<T, E>,
}

pin_project! {
    /// One call: readies its own clone of the service, then calls it.
    pub(crate) struct Item<S, K, Req>
    where
        S: Service<Req>,
    {
        index: usize,
        // Taken by the result.
        key: Option<K>,
        #[pin]
        state: State<S, Req, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, Req, F> {
        Readying { service: S, request: Option<Req> },
        Running { #[pin] future: F },
    }
}

// ===== impl Item =====

impl<S, K, Req> Item<S, K, Req>
where
    S: Service<Req>,
{
    pub(crate) fn new(index: usize, key: K, service: S, request: Req) -> Self {
        Self { index, key: Some(key), state: State::Readying { service, request: Some(request) } }
    }

    /// Takes out what the refusal of a call that is given up needs. The item must be dropped after that.
    pub(crate) fn give_up(self: Pin<&mut Self>) -> Option<(usize, K, Phase)> {
        let this = self.project();
        let phase = match this.state.project() {
            StateProj::Readying { .. } => Phase::Ready,
            StateProj::Running { .. } => Phase::Attempt,
        };
        Some((*this.index, this.key.take()?, phase))
    }
}

impl<S, K, Req> Future for Item<S, K, Req>
where
    S: Service<Req>,
{
    type Output = Done<K, S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = loop {
            match this.state.as_mut().project() {
                StateProj::Readying { service, request } => {
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        break Err(error);
                    }
                    let request = request.take().expect("the request is there until it is called");
                    let future = service.call(request);
                    this.state.set(State::Running { future });
                }
                StateProj::Running { future } => break ready!(future.poll(cx)),
            }
        };
        let key = this.key.take().expect("polled after it had completed");
        Poll::Ready(Done { index: *this.index, key, result })
    }
}
