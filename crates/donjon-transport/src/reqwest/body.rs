use std::{
    fmt,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{TransportError, body::RequestBody, origin::Origin};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response, as it arrives. Dropping it before its end closes an HTTP/1.1 connection, or resets the
/// stream of HTTP/2.
pub struct ReqwestBody {
    inner: ::reqwest::Body,
    origin: Option<Origin>,
}

/// A request body as reqwest wants it: `Sync`, though it is polled by one task at a time.
struct Shareable(Mutex<RequestBody>);

/// The body of a request; `None` if there is none. What reqwest may have to send twice, by its own redirects or
/// retries, it gets as bytes.
pub(super) fn request_body(body: RequestBody) -> Option<::reqwest::Body> {
    match body {
        RequestBody::Empty => None,
        RequestBody::Full(body) => {
            let mut body = body;
            let mut cx = Context::from_waker(std::task::Waker::noop());
            match Pin::new(&mut body).poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(frame))) => frame.into_data().ok().map(::reqwest::Body::from),
                Poll::Ready(Some(Err(never))) => match never {},
                Poll::Ready(None) | Poll::Pending => None,
            }
        }
        body @ RequestBody::Boxed(_) => Some(::reqwest::Body::wrap(Shareable(Mutex::new(body)))),
    }
}

// ===== impl ReqwestBody =====

impl ReqwestBody {
    pub(super) fn new(inner: ::reqwest::Body, origin: Option<Origin>) -> Self {
        Self { inner, origin }
    }
}

impl Body for ReqwestBody {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(|error| TransportError::reqwest_body(self.origin.clone(), error))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl fmt::Debug for ReqwestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestBody").field("size_hint", &self.size_hint()).finish_non_exhaustive()
    }
}

// ===== impl Shareable =====

impl Body for Shareable {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // Whoever has it alone needs no lock.
        let body = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}
