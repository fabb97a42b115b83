//! The cache of HTTP responses, by a strict rule: what is stored is the same for all who ask for it.
//!
//! **What is stored**: answers with status 200 to `GET` and `HEAD`. With a [negative TTL](CacheLayer::negative_ttl), 404 and
//! 410 as well. Nothing else: no 206, no redirect, no error.
//!
//! **Under which key**: that of [`HttpRequests`]: the method, the whole URI, and the values of `Accept`,
//! `Accept-Encoding`, `Accept-Language`, `Host` and of the fields that are named besides. So `HEAD` is never answered from
//! a `GET`, nor the other way round.
//!
//! **What goes through**, uncached and alone: any request that may be one user's (`Authorization`,
//! `Proxy-Authorization`, `Cookie`, `X-Api-Key`, user information in the URI), that has a body, that asks for a part or on
//! a condition (`Range`, `If-…`), that upgrades or expects, or whose `Cache-Control` or `Pragma` wants no stored answer, or
//! says how old it may be.
//!
//! **What is not stored, nor given to another**: an answer with `Set-Cookie`, with `no-store`, `private` or `no-cache` in
//! its `Cache-Control`, or with a `Vary` that names a field which is no part of the key.
//!
//! **For how long**: for the TTL of the layer, but no longer than the answer says itself (`s-maxage`, `max-age` or
//! `Expires`, less its `Age` and the time that it took to come): the rule only ever shortens. One with `must-revalidate` or
//! `proxy-revalidate` is never served stale. What is served from the store has an `Age`.
//!
//! **Writes**: a call that goes through with a method that may change something (any but `GET`, `HEAD`, `OPTIONS` and
//! `TRACE`) removes what is stored for its URI when it is over, however it ends.
//!
//! **Bodies** are captured inside of the call, up to [`body_cap`](CacheLayer::body_cap): the answer is given when its body
//! is whole. A larger one is not stored: what was read of it is handed on first, then the rest streams. One that
//! announces more than the cap, an event stream and gRPC stream at once. One that breaks off is handed on as it is, up to
//! where it breaks off, unless there is a stale answer. Trailers are kept. What is stored is copied into memory of its
//! own, with its fields and its key, so that it keeps no larger buffer alive.
//!
//! **The URI is the one that the layer sees**: a router may have taken a prefix off the path (`Router::nest` of axum does).
//! Two nested routers that share a layer would answer for each other: put the layer around them, or give each one its own
//! by [`fresh`](donjon_core::Fresh::fresh).
//!
//! Extensions of a response are not stored: the caller whose call it was has them, others have not.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use donjon_cache::CacheLayer;
//! use donjon_core::CallError;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let cache = CacheLayer::http().ttl(Duration::from_secs(60)).stale_if_error(Duration::from_secs(600));
//! let service = cache.layer(service_fn(|_: Request<Full<Bytes>>| async {
//!     Ok::<_, CallError>(Response::new(Full::<Bytes>::from("hello")))
//! }));
//! let get = || Request::get("http://example.com/news").body(Full::default()).expect("it is a request");
//!
//! service.clone().oneshot(get()).await?;
//! let response = service.clone().oneshot(get()).await?;
//! assert_eq!(response.headers()["age"], "0");
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//!
//! let mut user = get();
//! user.headers_mut().insert("authorization", "Basic QWRh".parse()?);
//! assert!(!service.oneshot(user).await?.headers().contains_key("age"), "what may be one user's goes through");
//! # Ok::<_, donjon_core::BoxError>(())
//! # }).unwrap();
//! ```

mod body;
mod capture;
mod form;
mod limits;
mod response;

use donjon_http::sharing::{HttpKey, HttpRequests};
use donjon_store::{MemoryStore, Store};
use http::Uri;

pub use self::{body::CacheBody, capture::Capture, form::Http, response::CachedResponse};
use crate::{CacheLayer, Handle, core::ByKey};

/// How many bytes the store holds at most, unless said: 64 MiB.
pub const DEFAULT_CAPACITY: u64 = 64 * 1024 * 1024;

/// How many bytes of a body are captured at most, unless said: 1 MiB.
pub const DEFAULT_BODY_CAP: usize = 1024 * 1024;

/// A store for answers of HTTP that holds at most so many bytes, all in all. One answer may take 1/32 of them.
#[must_use]
pub fn memory(capacity: u64) -> MemoryStore<HttpKey, CachedResponse> {
    MemoryStore::weighing(capacity, |key: &HttpKey, response: &CachedResponse| {
        (key.weight() + response.weight()) as u64
    })
    .build()
}

// ===== impl CacheLayer =====

impl CacheLayer<HttpRequests, HttpKey, CachedResponse, Http> {
    /// Caches answers of HTTP, by the strict rule of [this module](self): never across users. The body becomes a
    /// [`CacheBody`].
    ///
    /// Unless said: 64 MiB in memory, bodies of up to 1 MiB, fresh for 60 s, never served stale.
    pub fn http() -> Self {
        Self::http_with(HttpRequests::new())
    }

    /// The same with more fields in the key, or more that make a request go through.
    pub fn http_with(requests: HttpRequests) -> Self {
        let requests = requests.of_any_age();
        let form = Http::new(requests.responses());
        Self::from_parts(
            requests,
            form,
            memory(DEFAULT_CAPACITY),
            ByKey::new(|key| vec![uri_tag(key.uri()), path_tag(key.uri().path())], |key| key.detached()),
        )
    }
}

impl<X, K, V, P, St> CacheLayer<X, K, V, Http, P, St> {
    /// At most this many bytes of a body are captured, 1 MiB unless said; a larger one streams through, and is not
    /// stored. With 0 only answers without a body are.
    ///
    /// What is captured has to fit into the store as well: see [`memory`].
    pub fn body_cap(self, bytes: usize) -> Self {
        self.map_form(|form| form.cap(bytes))
    }
}

impl<X, P> CacheLayer<X, HttpKey, CachedResponse, Http, P> {
    /// At most this many bytes, in [`memory`]: 64 MiB unless said. It starts a state of its own, as
    /// [`store`](Self::store) does.
    pub fn capacity(self, bytes: u64) -> Self {
        self.store(memory(bytes))
    }
}

// ===== impl Handle =====

impl<St> Handle<HttpKey, CachedResponse, St>
where
    St: Store<HttpKey, CachedResponse, Error = std::convert::Infallible, Remove = crate::handle::Removed>,
{
    /// Removes whatever is stored for this URI, in the form in which requests have it, with whatever method and fields. For a
    /// server that is not one form: see [`invalidate_path`](Self::invalidate_path).
    pub fn invalidate_uri(&self, uri: &Uri) {
        self.invalidate_own_tag(&uri_tag(uri));
    }

    /// Removes whatever is stored for this path, on any host and with any query: for a server, whose requests name the host in
    /// HTTP/2, and in HTTP/1.1 only if the client likes to. The path is compared as it stands in requests: encoded,
    /// beginning with a slash, and without a query.
    pub fn invalidate_path(&self, path: &str) {
        self.invalidate_own_tag(&path_tag(path));
    }
}

/// Every stored answer has the tag of its path.
fn path_tag(path: &str) -> String {
    format!("path {path}")
}

/// Every stored answer has the tag of its URI. Those that are equal have one tag: scheme and authority are the same in
/// whatever case.
fn uri_tag(uri: &Uri) -> String {
    let mut tag = String::from("uri ");
    if let Some(scheme) = uri.scheme_str() {
        tag.push_str(scheme);
        tag.push_str("://");
    }
    tag.push_str(uri.authority().map_or("", |authority| authority.as_str()));
    tag.make_ascii_lowercase();
    tag.push_str(uri.path());
    if let Some(query) = uri.query() {
        tag.push('?');
        tag.push_str(query);
    }
    tag
}
