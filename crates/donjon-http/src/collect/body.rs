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
/// What was read comes first, in the chunks in which it came, then whatever follows; of very many chunks the small ones are
/// put together, so that a body of single bytes takes no multiple of what is in it. Its trailers are kept.
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
    /// The end of it, of small ones. Boxed, since there hardly ever is one.
    tail: Option<Box<BytesMut>>,
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
    /// So many are kept as they came, and those that are not small. Each takes some 40 bytes, and may keep the buffer alive
    /// that it was read into.
    const LOOSE: usize = 64;
    const SMALL: usize = 1024;
    /// Small ones are put together up to this.
    const TAIL: usize = 16 * 1024;

    const fn new() -> Self {
        Self { first: None, more: VecDeque::new(), tail: None, bytes: 0, empty: 0 }
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
        if self.first.is_none() {
            self.first = Some(chunk);
        } else if self.more.len() < Self::LOOSE || chunk.len() >= Self::SMALL {
            self.end_tail();
            self.more.push_back(chunk);
        } else {
            let tail = self.tail.get_or_insert_default();
            tail.extend_from_slice(&chunk);
            if tail.len() >= Self::TAIL {
                self.end_tail();
            }
        }
    }

    fn end_tail(&mut self) {
        self.more.extend(self.tail.take().map(|tail| tail.freeze()));
    }

    fn pop(&mut self) -> Option<Bytes> {
        let chunk = self.first.take()?;
        self.first = self.more.pop_front().or_else(|| self.tail.take().map(|tail| tail.freeze()));
        self.bytes -= chunk.len();
        Some(chunk)
    }

    fn into_bytes(mut self) -> Bytes {
        if self.more.is_empty() && self.tail.is_none() {
            return self.first.unwrap_or_default();
        }
        let mut all = BytesMut::with_capacity(self.bytes);
        while let Some(chunk) = self.pop() {
            all.extend_from_slice(&chunk);
        }
        all.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_chunks_are_put_together_in_their_order() {
        let text: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        let mut chunks = Chunks::new();
        for (n, byte) in text.chunks(1).enumerate() {
            // A large one in between stays as it is, and in its place.
            if n == 50_000 {
                chunks.push(Bytes::from(vec![7; 5000]));
            }
            chunks.push(Bytes::copy_from_slice(byte));
        }
        assert_eq!(chunks.bytes(), 105_000);
        assert!(chunks.more.len() < 100, "{} chunks", chunks.more.len());
        let mut read = Vec::new();
        while let Some(chunk) = chunks.pop() {
            read.extend_from_slice(&chunk);
        }
        assert_eq!((chunks.bytes(), chunks.is_empty()), (0, true));
        assert_eq!(read[..50_000], text[..50_000]);
        assert!(read[50_000..55_000].iter().all(|byte| *byte == 7));
        assert_eq!(read[55_000..], text[50_000..]);
    }

    #[test]
    fn what_was_put_together_is_one_piece_in_the_end() {
        let mut chunks = Chunks::new();
        (0..500_u32).for_each(|n| chunks.push(Bytes::from(n.to_string())));
        let all: String = (0..500).map(|n| n.to_string()).collect();
        assert_eq!(chunks.into_bytes(), all);
    }
}
