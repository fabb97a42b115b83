use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

/// Requests from an iterator. Made by [`FanOutExt::fan_out`](crate::FanOutExt::fan_out).
#[derive(Clone)]
pub struct FromIter<I>(I);

/// Requests from a stream. Made by [`FanOutExt::fan_out_stream`](crate::FanOutExt::fan_out_stream).
// One box for a whole fan-out, so that `next` needs no pinning whatever the stream is.
pub struct FromStream<St>(Pin<Box<St>>);

// ===== impl FromIter =====

impl<I> FromIter<I> {
    pub(crate) fn new(iter: I) -> Self {
        Self(iter)
    }
}

// The iterator is never pinned.
impl<I> Unpin for FromIter<I> {}

impl<I: Iterator> Stream for FromIter<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<I> fmt::Debug for FromIter<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromIter(..)")
    }
}

// ===== impl FromStream =====

impl<St> FromStream<St> {
    pub(crate) fn new(stream: St) -> Self {
        Self(Box::pin(stream))
    }
}

impl<St: Stream> Stream for FromStream<St> {
    type Item = St::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<St::Item>> {
        self.0.as_mut().poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<St> fmt::Debug for FromStream<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromStream(..)")
    }
}
