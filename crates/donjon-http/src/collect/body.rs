use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// A response body of which the beginning, or all, was read already.
///
/// What was read comes first, in the chunks in which it came, then whatever follows. Its trailers are kept.
pub struct CollectedBody<B> {
    pub(crate) read: Chunks,
    // Boxed, since they are rare and a response is moved through every layer.
    pub(crate) trailers: Option<Box<HeaderMap>>,
    /// What is not yet read.
    pub(crate) rest: Option<B>,
}

/// The chunks that were read. Most bodies are one, so the first needs no list.
#[derive(Default)]
pub(crate) struct Chunks {
    first: Option<Bytes>,
    more: VecDeque<Bytes>,
    /// The bytes in all of them.
    bytes: usize,
    /// How many were empty, and are not kept.
    empty: usize,
}

// ===== impl CollectedBody =====

impl<B: Body> CollectedBody<B> {
    /// A body of which nothing was read yet; whole, if there is nothing to read.
    pub fn streaming(body: B) -> Self {
        let rest = if body.is_end_stream() { None } else { Some(body) };
        Self { read: Chunks::new(), trailers: None, rest }
    }
}

impl<B> CollectedBody<B> {
    /// Whether it was read to its end.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    /// All data as one piece, or the body as it is if it was not read to its end. Copies if it came in several chunks;
    /// the trailers are left out.
    ///
    /// # Errors
    ///
    /// The body itself, if [`is_whole`](Self::is_whole) is false.
    pub fn into_bytes(self) -> Result<Bytes, Self> {
        if self.is_whole() { Ok(self.read.into_bytes()) } else { Err(self) }
    }

    /// The next chunk of what was read already.
    pub fn pop_read(&mut self) -> Option<Bytes> {
        self.read.pop()
    }

    /// The bytes of what was read already, and not taken since.
    #[must_use]
    pub const fn read_bytes(&self) -> usize {
        self.read.bytes()
    }

    /// The trailers that were read.
    #[must_use]
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref()
    }
}

impl<B> Body for CollectedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(chunk) = self.read.pop() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if let Some(rest) = &mut self.rest {
            return Pin::new(rest).poll_frame(cx);
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.trailers.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.bytes as u64;
        let Some(rest) = &self.rest else { return SizeHint::with_exact(read) };
        let rest = rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
    }
}

/// An empty body, whole.
impl<B> Default for CollectedBody<B> {
    fn default() -> Self {
        Self { read: Chunks::new(), trailers: None, rest: None }
    }
}

impl<B> fmt::Debug for CollectedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectedBody").field("read", &self.read.bytes).field("whole", &self.is_whole()).finish()
    }
}

// ===== impl Chunks =====

impl Chunks {
    const fn new() -> Self {
        Self { first: None, more: VecDeque::new(), bytes: 0, empty: 0 }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) const fn empty(&self) -> usize {
        self.empty
    }

    const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            self.empty += 1;
            return;
        }
        self.bytes += chunk.len();
        match &self.first {
            None => self.first = Some(chunk),
            Some(_) => self.more.push_back(chunk),
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let chunk = self.first.take()?;
        self.first = self.more.pop_front();
        self.bytes -= chunk.len();
        Some(chunk)
    }

    fn into_bytes(mut self) -> Bytes {
        if self.more.is_empty() {
            return self.first.unwrap_or_default();
        }
        let mut all = BytesMut::with_capacity(self.bytes);
        while let Some(chunk) = self.pop() {
            all.extend_from_slice(&chunk);
        }
        all.freeze()
    }
}
