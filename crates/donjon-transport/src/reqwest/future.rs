use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use hyper::upgrade::OnUpgrade;
use tower_service::Service;

use super::ReqwestBody;
use crate::{TransportError, origin::Origin};

/// Waits for the head of a response. Dropping it ends the call.
#[must_use = "futures do nothing unless polled"]
pub struct ReqwestFuture {
    state: State,
    origin: Option<Origin>,
}

type Pending = <::reqwest::Client as Service<::reqwest::Request>>::Future;

enum State {
    Running {
        inner: Pending,
        /// Whether what fails may be behind a redirect, and it matters.
        redirected: bool,
        /// Whether the request asked to change the protocol.
        upgrades: bool,
    },
    Failed(Option<TransportError>),
}

// ===== impl ReqwestFuture =====

impl ReqwestFuture {
    pub(super) fn new(inner: Pending, origin: Option<Origin>, redirected: bool, upgrades: bool) -> Self {
        Self { state: State::Running { inner, redirected, upgrades }, origin }
    }

    pub(super) fn failed(error: TransportError) -> Self {
        Self { state: State::Failed(Some(error)), origin: None }
    }
}

impl Future for ReqwestFuture {
    type Output = Result<Response<ReqwestBody>, TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match &mut this.state {
            State::Running { inner, redirected, upgrades } => {
                let result = ready!(Pin::new(inner).poll(cx));
                let origin = this.origin.take();
                Poll::Ready(match result {
                    Ok(response) => {
                        let mut response = Response::<::reqwest::Body>::from(response);
                        if !*upgrades {
                            // It holds the connection for as long as anybody keeps the head.
                            response.extensions_mut().remove::<OnUpgrade>();
                        }
                        Ok(response.map(|body| ReqwestBody::new(body, origin)))
                    }
                    Err(error) => Err(TransportError::reqwest(origin, *redirected, error)),
                })
            }
            State::Failed(error) => Poll::Ready(Err(error.take().expect("polled after it had completed"))),
        }
    }
}

impl fmt::Debug for ReqwestFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestFuture").field("origin", &self.origin).finish_non_exhaustive()
    }
}
