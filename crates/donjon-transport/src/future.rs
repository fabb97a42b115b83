//! The future of a call.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use hyper::upgrade::OnUpgrade;

use crate::{TransportBody, TransportError, background::in_foreground, origin::Origin};

/// Waits for the head of a response. Dropping it ends the call.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture {
    state: State,
    origin: Option<Origin>,
}

enum State {
    // hyper-util's future is one box inside.
    Running {
        inner: hyper_util::client::legacy::ResponseFuture,
        /// Whether the request asked to change the protocol.
        upgrades: bool,
    },
    Failed(Option<TransportError>),
}

// ===== impl ResponseFuture =====

impl ResponseFuture {
    pub(crate) fn new(
        inner: hyper_util::client::legacy::ResponseFuture,
        origin: Option<Origin>,
        upgrades: bool,
    ) -> Self {
        Self { state: State::Running { inner, upgrades }, origin }
    }

    pub(crate) fn failed(error: TransportError) -> Self {
        Self { state: State::Failed(Some(error)), origin: None }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<TransportBody>, TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match &mut this.state {
            State::Running { inner, upgrades } => {
                let result = ready!(in_foreground(|| Pin::new(inner).poll(cx)));
                let origin = this.origin.take();
                Poll::Ready(match result {
                    Ok(mut response) => {
                        if !*upgrades {
                            // It holds the connection, and its place, for as long as anybody keeps the head.
                            response.extensions_mut().remove::<OnUpgrade>();
                        }
                        Ok(response.map(|body| TransportBody::new(body, origin)))
                    }
                    Err(error) => Err(TransportError::client(origin, error)),
                })
            }
            State::Failed(error) => Poll::Ready(Err(error.take().expect("polled after it had completed"))),
        }
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("origin", &self.origin).finish_non_exhaustive()
    }
}
