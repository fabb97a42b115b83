use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use donjon_core::Reject;
use futures_core::{FusedStream, Stream};
use tower_service::Service;

use crate::engine::Engine;

/// The results of a [`FanOut`](crate::FanOut) in the order of the requests: a stream of `(key, result)`.
#[must_use = "streams do nothing unless polled"]
pub struct InOrder<S, K, Req, Src>
where
    S: Service<Req>,
{
    engine: Engine<S, K, Req, Src>,
    /// Results that came before their turn; the first place is that of the next result.
    early: VecDeque<Slot<K, S::Response, S::Error>>,
    /// The index of the first place.
    next: usize,
}

type Slot<K, T, E> = Option<(K, Result<T, E>)>;

/// Nothing in it is ever pinned but what is boxed.
impl<S, K, Req, Src> Unpin for InOrder<S, K, Req, Src> where S: Service<Req> {}

// ===== impl InOrder =====

impl<S, K, Req, Src> InOrder<S, K, Req, Src>
where
    S: Service<Req>,
{
    pub(crate) fn new(engine: Engine<S, K, Req, Src>) -> Self {
        Self { engine, early: VecDeque::new(), next: 0 }
    }

    /// How many calls are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.engine.in_flight()
    }

    fn is_early(&self) -> usize {
        self.early.iter().flatten().count()
    }
}

impl<S, K, Req, Src> InOrder<S, K, Req, Src>
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

impl<S, K, Req, Src> Stream for InOrder<S, K, Req, Src>
where
    S: Service<Req> + Clone,
    S::Error: Reject,
    Src: Stream<Item = (K, Req)> + Unpin,
{
    type Item = (K, Result<S::Response, S::Error>);

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(Some(_)) = this.early.front() {
                this.next += 1;
                return Poll::Ready(this.early.pop_front().flatten());
            }
            // What was read and not yet given out is in flight or early.
            let room = this.engine.at_once().saturating_sub(this.engine.read() - this.next);
            match ready!(this.engine.poll_next(cx, room)) {
                Some(done) => {
                    let place = done.index - this.next;
                    if this.early.len() <= place {
                        this.early.resize_with(place + 1, || None);
                    }
                    this.early[place] = Some((done.key, done.result));
                }
                None => {
                    // Only a panic leaves anything here: results whose predecessors were dropped.
                    this.early.clear();
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let early = self.is_early();
        let (low, high) = self.engine.size_hint();
        (low.saturating_add(early), high.and_then(|high| high.checked_add(early)))
    }
}

impl<S, K, Req, Src> FusedStream for InOrder<S, K, Req, Src>
where
    S: Service<Req> + Clone,
    S::Error: Reject,
    Src: Stream<Item = (K, Req)> + Unpin,
{
    fn is_terminated(&self) -> bool {
        self.engine.is_terminated() && self.early.is_empty()
    }
}

impl<S, K, Req, Src> fmt::Debug for InOrder<S, K, Req, Src>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InOrder")
            .field("in_flight", &self.in_flight())
            .field("early", &self.is_early())
            .finish_non_exhaustive()
    }
}
