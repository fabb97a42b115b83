use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use donjon_core::Reject;
use futures_core::{FusedStream, Stream};
use tower_service::Service;

use crate::engine::Engine;

/// The results of a [`FanOut`](crate::FanOut) as they complete: a stream of `(key, result)`.
#[must_use = "streams do nothing unless polled"]
pub struct AsCompleted<S, K, Req, Src>
where
    S: Service<Req>,
{
    engine: Engine<S, K, Req, Src>,
}

// ===== impl AsCompleted =====

impl<S, K, Req, Src> AsCompleted<S, K, Req, Src>
where
    S: Service<Req>,
{
    pub(crate) fn new(engine: Engine<S, K, Req, Src>) -> Self {
        Self { engine }
    }

    /// How many calls are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.engine.in_flight()
    }
}

impl<S, K, Req, Src> AsCompleted<S, K, Req, Src>
where
    S: Service<Req> + Clone,
    S::Error: Reject,
    Src: Stream<Item = (K, Req)> + Unpin,
{
    /// The next result, or `None` when each request has had its own. Cancel-safe: nothing is lost when it is dropped,
    /// and the calls stay in flight.
    pub async fn next(&mut self) -> Option<(K, Result<S::Response, S::Error>)> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<S, K, Req, Src> Stream for AsCompleted<S, K, Req, Src>
where
    S: Service<Req> + Clone,
    S::Error: Reject,
    Src: Stream<Item = (K, Req)> + Unpin,
{
    type Item = (K, Result<S::Response, S::Error>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.engine.poll_next(cx, usize::MAX).map(|done| done.map(|done| (done.key, done.result)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.engine.size_hint()
    }
}

impl<S, K, Req, Src> FusedStream for AsCompleted<S, K, Req, Src>
where
    S: Service<Req> + Clone,
    S::Error: Reject,
    Src: Stream<Item = (K, Req)> + Unpin,
{
    fn is_terminated(&self) -> bool {
        self.engine.is_terminated()
    }
}

impl<S, K, Req, Src> fmt::Debug for AsCompleted<S, K, Req, Src>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}
