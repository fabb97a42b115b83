use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use donjon_http::CollectedBody;
use http::{Response, response};
use http_body::Body;

use super::{CacheBody, CachedResponse};
use crate::Captured;

/// Reads the body of a response, up to a cap.
pub struct Capture<B: Body> {
    parts: Option<response::Parts>,
    body: CollectedBody<B>,
    /// How much is read; nothing of what is for one alone.
    cap: Option<usize>,
    /// It may be stored, so it gets memory of its own.
    keeps: bool,
}

// ===== impl Capture =====

impl<B: Body> Capture<B> {
    pub(super) fn new(response: Response<B>, cap: Option<usize>, keeps: bool) -> Self {
        let (parts, body) = response.into_parts();
        Self { parts: Some(parts), body: CollectedBody::streaming(body), cap, keeps }
    }
}

// Nothing in it is pinned by it but the body, which is `Unpin`.
impl<B: Body + Unpin> Unpin for Capture<B> {}

impl<B> Future for Capture<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Output = Captured<CachedResponse, Response<CacheBody<B>>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let read = match this.cap {
            Some(cap) => ready!(this.body.poll_read(cap, cx)),
            None => Ok(()),
        };
        let body = mem::take(&mut this.body);
        let parts = this.parts.take().expect("it is captured once");
        Poll::Ready(match read {
            Ok(()) if this.cap.is_some() && body.is_whole() => {
                let trailers = body.trailers().cloned();
                let data = body.into_bytes().unwrap_or_default();
                let data = if this.keeps { Bytes::copy_from_slice(&data) } else { data };
                let value = CachedResponse::new(&parts, data.clone(), trailers.clone());
                Captured::with_own(value, Response::from_parts(parts, CacheBody::whole(data, trailers)))
            }
            Ok(()) => Captured::alone(Response::from_parts(parts, CacheBody::streams(body))),
            Err(error) => Captured::alone(Response::from_parts(parts, CacheBody::torn(body, error))).failed(),
        })
    }
}
