use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use donjon_core::Reject;
use futures_core::Stream;
use tower_service::Service;

use crate::{engine::Engine, item::Done};

/// All results of a [`FanOut`](crate::FanOut), each with its key, in the order of the requests: a future.
#[must_use = "futures do nothing unless polled"]
pub struct Collect<S, K, Req, Src, C>
where
    S: Service<Req>,
{
    engine: Engine<S, K, Req, Src>,
    done: Vec<Done<K, S::Response, S::Error>>,
    into: PhantomData<fn() -> C>,
}

/// Nothing in it is ever pinned but what is boxed.
impl<S, K, Req, Src, C> Unpin for Collect<S, K, Req, Src, C> where S: Service<Req> {}

// ===== impl Collect =====

impl<S, K, Req, Src, C> Collect<S, K, Req, Src, C>
where
    S: Service<Req>,
{
    pub(crate) fn new(engine: Engine<S, K, Req, Src>) -> Self {
        Self { engine, done: Vec::new(), into: PhantomData }
    }
}

impl<S, K, Req, Src, C> Future for Collect<S, K, Req, Src, C>
where
    S: Service<Req> + Clone,
    S::Error: Reject,
    Src: Stream<Item = (K, Req)> + Unpin,
    C: Default + Extend<(K, Result<S::Response, S::Error>)>,
{
    type Output = C;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C> {
        let this = self.get_mut();
        while let Some(done) = ready!(this.engine.poll_next(cx, usize::MAX)) {
            this.done.push(done);
        }
        let mut done = std::mem::take(&mut this.done);
        done.sort_unstable_by_key(|done| done.index);
        let mut all = C::default();
        all.extend(done.into_iter().map(|done| (done.key, done.result)));
        Poll::Ready(all)
    }
}

impl<S, K, Req, Src, C> fmt::Debug for Collect<S, K, Req, Src, C>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collect")
            .field("in_flight", &self.engine.in_flight())
            .field("done", &self.done.len())
            .finish_non_exhaustive()
    }
}
