use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame};

use super::http::CALL;

/// A body of the exchange [`Streaming`](crate::Streaming): two frames of data and trailers, and before each of them it is
/// pending once and wakes its task. A truncated one ends in an error after the first frame.
#[derive(Debug)]
pub struct ProbeBody {
    frames: VecDeque<Option<Frame<Bytes>>>,
    prompt: bool,
    slept: bool,
}

/// The error of a [`ProbeBody`] that was truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated(());

// ===== impl ProbeBody =====

impl ProbeBody {
    pub(super) fn new(what: &'static str, id: u64, prompt: bool) -> Self {
        let trailers = HeaderMap::from_iter([(CALL, HeaderValue::from(id))]);
        let frames = [
            Frame::data(Bytes::from_static(what.as_bytes())),
            Frame::data(Bytes::from(id.to_string())),
            Frame::trailers(trailers),
        ];
        Self { frames: frames.map(Some).into(), prompt, slept: false }
    }

    pub(super) fn truncated(mut self) -> Self {
        self.frames.truncate(1);
        self.frames.push_back(None);
        self
    }
}

impl Body for ProbeBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        if !self.prompt && !self.slept && !self.frames.is_empty() {
            self.slept = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.slept = false;
        Poll::Ready(self.frames.pop_front().map(|frame| frame.ok_or(Truncated(()))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }
}

// ===== impl Truncated =====

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the probe's body was truncated")
    }
}

impl Error for Truncated {}
