//! A response while its body is read.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{Method, Response, Uri};

use crate::error::{Failure, JsonError, Where};

/// A response that was read, before anybody has looked into its body.
pub struct Raw {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    /// Taken by a reply.
    pub(crate) head: Option<Response<()>>,
    pub(crate) body: Bytes,
    /// Whether its content type is one that the client decodes.
    pub(crate) is_json: bool,
    /// Whether the body had more.
    pub(crate) truncated: bool,
    /// How much of a body an error keeps, in bytes.
    pub(crate) max_error_body: u64,
}

/// Collects the frames of a body up to a cap. A body of one frame is not copied.
pub(crate) struct Collector {
    first: Bytes,
    rest: BytesMut,
    cap: u64,
    /// Whether a body beyond the cap is cut there, and no fault.
    cuts: bool,
    truncated: bool,
}

/// The body is larger than the cap.
pub(crate) struct TooLarge;

/// What is reserved at most on the word of the peer, in bytes.
const MAX_RESERVE: u64 = 256 * 1024;

// ===== impl Raw =====

impl Raw {
    pub(crate) fn take_head(&mut self) -> Response<()> {
        self.head.take().unwrap_or_default()
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The error with all that is known of the response.
    pub(crate) fn into_error(mut self, failure: Failure) -> JsonError {
        let head = self.take_head();
        let cap = usize::try_from(self.max_error_body).unwrap_or(usize::MAX);
        let (body, truncated) = if self.body.len() > cap {
            // A slice would keep all of it alive.
            (Bytes::copy_from_slice(&self.body[..cap]), true)
        } else {
            (self.body, self.truncated)
        };
        JsonError::new(failure, Some(self.method), Where::Url(self.uri)).with_response(head, body, truncated)
    }
}

// ===== impl Collector =====

impl Collector {
    pub(crate) fn new(cap: u64, cuts: bool) -> Self {
        Self { first: Bytes::new(), rest: BytesMut::new(), cap, cuts, truncated: false }
    }

    /// How many bytes came.
    pub(crate) fn len(&self) -> u64 {
        // One of the two is empty.
        (self.first.len() + self.rest.len()) as u64
    }

    pub(crate) fn cap(&self) -> u64 {
        self.cap
    }

    /// Whether it fails at the cap, and is not cut there.
    pub(crate) fn is_strict(&self) -> bool {
        !self.cuts
    }

    /// What came is all that there will be, though the body had more.
    pub(crate) fn cut(&mut self) {
        self.truncated = true;
    }

    /// Whether there is nothing more to take.
    pub(crate) fn is_full(&self) -> bool {
        self.truncated
    }

    /// Takes a frame; `more` is what the body says is still to come.
    pub(crate) fn push(&mut self, mut data: impl Buf, more: u64) -> Result<(), TooLarge> {
        let room = self.cap - self.len();
        if data.remaining() as u64 > room {
            if !self.cuts {
                return Err(TooLarge);
            }
            self.truncated = true;
        }
        let take = usize::try_from(room).unwrap_or(usize::MAX).min(data.remaining());
        if take == 0 {
            return Ok(());
        }
        if self.len() == 0 {
            self.first = data.copy_to_bytes(take);
            return Ok(());
        }
        if self.rest.is_empty() {
            let expected = more.min(MAX_RESERVE).min(room) as usize;
            self.rest.reserve(self.first.len() + take + expected);
            self.rest.put(std::mem::take(&mut self.first));
        }
        self.rest.put(data.take(take));
        Ok(())
    }

    pub(crate) fn finish(self) -> (Bytes, bool) {
        let body = if self.rest.is_empty() { self.first } else { self.rest.freeze() };
        (body, self.truncated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_frame_is_not_copied() {
        let frame = Bytes::from(vec![7; 100]);
        let mut collector = Collector::new(100, false);
        assert!(collector.push(frame.clone(), 0).is_ok());
        let (body, truncated) = collector.finish();
        assert_eq!(body.as_ptr(), frame.as_ptr());
        assert!(!truncated);
    }

    #[test]
    fn the_cap_is_the_last_byte_that_fits() {
        for (frames, fits) in [(&[3, 2][..], true), (&[3, 3], false), (&[5, 0], true), (&[6], false), (&[0], true)] {
            let mut strict = Collector::new(5, false);
            let mut cutting = Collector::new(5, true);
            let mut result = Ok(());
            for &len in frames {
                result = result.and_then(|()| strict.push(Bytes::from(vec![1; len]), 0));
                assert!(cutting.push(Bytes::from(vec![1; len]), 0).is_ok());
            }
            assert_eq!(result.is_ok(), fits, "{frames:?}");
            assert_eq!(cutting.is_full(), !fits);
            assert_eq!(cutting.len(), (frames.iter().sum::<usize>() as u64).min(5));
        }
    }
}
