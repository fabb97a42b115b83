use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use donjon_core::{BoxError, Replay};
use http_body::{Body, Frame, SizeHint};

use super::{DEFAULT_CAP, NotReplayable, ReplayError, layer::Counters, reader::Reader, shared::Shared};

/// A request body of which copies can be made: see the [module](crate::replay) for how.
///
/// # Example
///
/// ```
/// use bytes::Bytes;
/// use donjon_core::Replay;
/// use donjon_http::ReplayBody;
/// use http_body_util::{BodyExt, Full};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let body = ReplayBody::new(Full::new(Bytes::from("hello")));
/// let copy = body.replay().expect("nothing was sent yet");
/// assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
/// assert_eq!(copy.collect().await.unwrap().to_bytes(), "hello");
/// # });
/// ```
pub struct ReplayBody<B> {
    /// `None` for an empty body.
    reader: Option<Reader<B>>,
}

// ===== impl ReplayBody =====

impl<B: Body> ReplayBody<B> {
    /// Keeps at most [`DEFAULT_CAP`] bytes of this body.
    pub fn new(body: B) -> Self {
        Self::with_cap(body, DEFAULT_CAP)
    }

    /// Keeps at most `cap` bytes of this body; with 0 only an empty body can be sent again.
    pub fn with_cap(body: B, cap: usize) -> Self {
        Self::counted(body, cap, None)
    }

    pub(super) fn counted(body: B, cap: usize, counters: Option<std::sync::Arc<Counters>>) -> Self {
        if body.is_end_stream() {
            return Self { reader: None };
        }
        let hint = body.size_hint();
        Self { reader: Some(Reader::first(Shared::new(body, hint, cap, counters))) }
    }
}

impl<B> ReplayBody<B> {
    /// Why no copy can be made, if none can. The answer can change from `None` while some copy is being read.
    #[must_use]
    pub fn not_replayable(&self) -> Option<NotReplayable> {
        self.reader.as_ref().and_then(Reader::refusal)
    }
}

/// An empty body.
impl<B> Default for ReplayBody<B> {
    fn default() -> Self {
        Self { reader: None }
    }
}

impl<B> Replay for ReplayBody<B> {
    fn replay(&self) -> Option<Self> {
        match &self.reader {
            None => Some(Self { reader: None }),
            Some(reader) => reader.copy().map(|reader| Self { reader: Some(reader) }),
        }
    }

    fn is_intact(&self) -> bool {
        self.reader.as_ref().is_none_or(Reader::is_intact)
    }

    fn refusal(&self) -> Option<&'static str> {
        self.not_replayable().map(NotReplayable::as_str)
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = ReplayError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplayError>>> {
        match &mut self.reader {
            None => Poll::Ready(None),
            Some(reader) => reader.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.reader.as_ref().is_none_or(Reader::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.reader.as_ref().map_or_else(|| SizeHint::with_exact(0), Reader::size_hint)
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody")
            .field("empty", &self.reader.is_none())
            .field("not_replayable", &self.not_replayable())
            .finish()
    }
}
