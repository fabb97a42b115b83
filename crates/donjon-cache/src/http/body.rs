use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use donjon_http::CollectedBody;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// The body of a response that has come through a cache: one that was stored or captured, or that of the inner service
/// as it comes.
pub struct CacheBody<B: Body> {
    state: State<B>,
}

enum State<B: Body> {
    /// All of it is there.
    Whole { data: Bytes, trailers: Option<Box<HeaderMap>> },
    /// The beginning may be there, the rest comes.
    Streams(CollectedBody<B>),
    /// The beginning is there, and then it breaks off.
    Torn { read: CollectedBody<B>, error: Option<B::Error> },
}

// ===== impl CacheBody =====

impl<B: Body> CacheBody<B> {
    pub(super) fn whole(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self { state: State::Whole { data, trailers: trailers.map(Box::new) } }
    }

    pub(super) fn streams(body: CollectedBody<B>) -> Self {
        Self { state: State::Streams(body) }
    }

    pub(super) fn torn(read: CollectedBody<B>, error: B::Error) -> Self {
        Self { state: State::Torn { read, error: Some(error) } }
    }

    /// Whether all of it is in memory, so that it never waits and never fails.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match &self.state {
            State::Whole { .. } => true,
            State::Streams(body) => body.is_whole(),
            State::Torn { .. } => false,
        }
    }
}

// Nothing in it is pinned by it but the body, which is `Unpin`.
impl<B: Body + Unpin> Unpin for CacheBody<B> {}

impl<B> Body for CacheBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Poll::Ready(match &mut self.state {
            State::Whole { data, trailers } => {
                if data.is_empty() {
                    trailers.take().map(|trailers| Ok(Frame::trailers(*trailers)))
                } else {
                    Some(Ok(Frame::data(std::mem::take(data))))
                }
            }
            State::Streams(body) => return Pin::new(body).poll_frame(cx),
            State::Torn { read, error } => match read.pop_read() {
                Some(chunk) => Some(Ok(Frame::data(chunk))),
                None => error.take().map(Err),
            },
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Whole { data, trailers } => data.is_empty() && trailers.is_none(),
            State::Streams(body) => body.is_end_stream(),
            State::Torn { error, .. } => error.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Whole { data, .. } => SizeHint::with_exact(data.len() as u64),
            State::Streams(body) => body.size_hint(),
            // How much it had announced is known no more.
            State::Torn { read, .. } => {
                let mut hint = SizeHint::new();
                hint.set_lower(read.read_bytes() as u64);
                hint
            }
        }
    }
}

/// An empty body.
impl<B: Body> Default for CacheBody<B> {
    fn default() -> Self {
        Self::whole(Bytes::new(), None)
    }
}

impl<B: Body> fmt::Debug for CacheBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, bytes) = match &self.state {
            State::Whole { data, .. } => ("whole", data.len()),
            State::Streams(body) => ("streams", body.read_bytes()),
            State::Torn { read, .. } => ("torn", read.read_bytes()),
        };
        f.debug_struct("CacheBody").field("state", &state).field("bytes", &bytes).finish()
    }
}
