use std::{
    any::Any,
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use crate::{TransportError, origin::Origin};

type BoxError = Box<dyn Error + Send + Sync>;

/// The body of a response, as it arrives. Dropping it before its end closes an HTTP/1.1 connection, or resets the
/// stream of HTTP/2.
pub struct TransportBody {
    inner: Incoming,
    origin: Option<Origin>,
}

/// The body of any request, of one type, so that all share one pool. Neither a body that has ended already nor a
/// `Full<Bytes>` is boxed.
pub(crate) enum RequestBody {
    Empty,
    Full(Full<Bytes>),
    Boxed(Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>),
}

pin_project! {
    struct Erased<B> {
        #[pin]
        inner: B,
    }
}

// ===== impl TransportBody =====

impl TransportBody {
    pub(crate) fn new(inner: Incoming, origin: Option<Origin>) -> Self {
        Self { inner, origin }
    }
}

impl Body for TransportBody {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(|error| TransportError::body(self.origin.clone(), error))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl fmt::Debug for TransportBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportBody").field("size_hint", &self.size_hint()).finish_non_exhaustive()
    }
}

// ===== impl RequestBody =====

impl RequestBody {
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::Empty;
        }
        let mut body = Some(body);
        if let Some(full) = (&mut body as &mut dyn Any).downcast_mut::<Option<Full<Bytes>>>() {
            return full.take().map_or(Self::Empty, Self::Full);
        }
        body.map_or(Self::Empty, |body| Self::Boxed(Box::pin(Erased { inner: body })))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Full(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(body) => body.is_end_stream(),
            Self::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(body) => body.size_hint(),
            Self::Boxed(body) => body.size_hint(),
        }
    }
}

// ===== impl Erased =====

impl<B> Body for Erased<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let inner = self.project().inner;
        // A task of hyper polls it, whose end alone tells the call nothing: over HTTP/2 it would wait for ever.
        let Ok(polled) = catch_unwind(AssertUnwindSafe(|| inner.poll_frame(cx))) else {
            return Poll::Ready(Some(Err("the request body panicked".into())));
        };
        Poll::Ready(ready!(polled).map(|frame| match frame {
            // Copies nothing where the data are `Bytes` already.
            Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
            Err(error) => Err(error.into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
