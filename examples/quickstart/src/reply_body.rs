//! The body of a reply: whole, or cut in the middle.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::counts::InFlight;

/// A body that is whole, or promises more than it sends. The call is in flight until its last byte is handed over.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    promised: u64,
    data: Option<Bytes>,
    end: End,
    in_flight: Option<InFlight>,
}

#[derive(Debug)]
enum End {
    Whole,
    /// The first half still has to reach the wire.
    Flush,
    Cut,
}

/// The error with which a truncated body ends.
#[derive(Debug)]
pub(crate) struct Truncated;

impl ReplyBody {
    pub(crate) fn whole(data: Bytes, in_flight: InFlight) -> Self {
        Self { promised: data.len() as u64, data: Some(data), end: End::Whole, in_flight: Some(in_flight) }
    }

    /// Promises all of `data` and sends half of it.
    pub(crate) fn truncated(mut data: Bytes, in_flight: InFlight) -> Self {
        let promised = data.len() as u64;
        data.truncate(data.len() / 2);
        Self { promised, data: Some(data), end: End::Flush, in_flight: Some(in_flight) }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        if let Some(data) = self.data.take() {
            if matches!(self.end, End::Whole) {
                // Before the byte that ends the call for the client leaves, not after: the count never lags behind.
                self.in_flight = None;
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match self.end {
            End::Whole => Poll::Ready(None),
            End::Flush => {
                // hyper flushes what it has when a body is pending.
                self.end = End::Cut;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            End::Cut => {
                self.in_flight = None;
                Poll::Ready(Some(Err(Truncated)))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && matches!(self.end, End::Whole)
    }
}

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reply is cut short on purpose")
    }
}

impl Error for Truncated {}
