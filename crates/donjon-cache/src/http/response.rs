use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use donjon_http::sharing;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version,
    header::{AGE, CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE},
    response,
};
use http_body::Body;

use super::{CacheBody, limits};
use crate::Limits;

/// An answer of HTTP as it is stored. Clones share it.
#[derive(Clone)]
pub struct CachedResponse(Arc<Stored>);

struct Stored {
    status: StatusCode,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
    /// How old it was when it came.
    age: Duration,
    limits: Limits,
}

/// What holds for one connection, and is nothing to store.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

// ===== impl CachedResponse =====

impl CachedResponse {
    pub(super) fn new(parts: &response::Parts, body: Bytes, trailers: Option<HeaderMap>) -> Self {
        let mut headers = detached(&parts.headers);
        for name in named_by_connection(&parts.headers).into_iter().chain(HOP_BY_HOP) {
            headers.remove(name);
        }
        Self(Arc::new(Stored {
            status: parts.status,
            version: parts.version,
            age: limits::age(&headers),
            limits: limits::limits(&headers),
            headers,
            body,
            trailers: trailers.as_ref().map(detached),
        }))
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The header fields, without those that hold for one connection.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The body, all of it.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// The trailers, if there were any.
    #[must_use]
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.0.trailers.as_ref()
    }

    /// The bytes that it owns, about: what [`memory`](super::memory) weighs it by.
    #[must_use]
    pub fn weight(&self) -> usize {
        let fields = weight(&self.0.headers) + self.0.trailers.as_ref().map_or(0, weight);
        size_of::<Stored>() + fields + self.0.body.len()
    }

    pub(super) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// As a response: so long after it was stored, if it was.
    pub(super) fn to_response<B: Body>(&self, resident: Option<Duration>) -> Response<CacheBody<B>> {
        let stored = &*self.0;
        let mut response = Response::new(CacheBody::whole(stored.body.clone(), stored.trailers.clone()));
        *response.status_mut() = stored.status;
        *response.version_mut() = stored.version;
        *response.headers_mut() = stored.headers.clone();
        if let Some(resident) = resident {
            let age = stored.age.saturating_add(resident).as_secs();
            response.headers_mut().insert(AGE, HeaderValue::from(age));
        }
        response
    }
}

impl fmt::Debug for CachedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Header fields may be secret; a body is long.
        f.debug_struct("CachedResponse")
            .field("status", &self.0.status)
            .field("fields", &self.0.headers.len())
            .field("bytes", &self.0.body.len())
            .finish_non_exhaustive()
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

/// The same fields in memory of their own.
fn detached(headers: &HeaderMap) -> HeaderMap {
    let mut own = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers {
        own.append(name, sharing::detached(value));
    }
    own
}

fn weight(headers: &HeaderMap) -> usize {
    // A field's place in the map's tables, about, and the bytes of its value.
    let fields = headers.iter().map(|(name, value)| 112 + name.as_str().len() + value.len());
    fields.sum()
}
