use super::Hashed;
use donjon_core::Key;
use http::{
    HeaderName, HeaderValue, Request,
    header::{AUTHORIZATION, COOKIE, HOST, PROXY_AUTHORIZATION},
};

/// The extractor of [`authority`].
#[derive(Clone, Copy, Debug)]
pub struct Authority;

/// The extractor of [`path`].
#[derive(Clone, Copy, Debug)]
pub struct Path;

/// The extractor of [`header`].
#[derive(Clone, Debug)]
pub struct Header {
    name: HeaderName,
}

/// The extractor of [`api_key`].
#[derive(Clone, Copy, Debug)]
pub struct ApiKey;

/// Whom the request is for: host and port as the URI has them, or else as the field `Host` has them. Two keys are equal
/// without regard to case. User information is no part of it. A default port that is written out makes another key than
/// one that is left out, and a key does not tell `http` from `https`.
#[must_use]
pub const fn authority() -> Authority {
    Authority
}

/// The path of the request, as it stands, without the query. In front of the world the number of paths is unbounded.
#[must_use]
pub const fn path() -> Path {
    Path
}

/// The value of this field; the first, if there are several. The keys of fields that hold credentials do not show them
/// in `Debug`.
#[must_use]
pub const fn header(name: HeaderName) -> Header {
    Header { name }
}

/// The credential of the caller: the field `x-api-key`, or else `Authorization`. Nothing checks it here: put
/// authentication outside of the layer that takes this key. It is not shown in `Debug`, and
/// [`hashed`](ApiKey::hashed) it is not even kept.
#[must_use]
pub const fn api_key() -> ApiKey {
    ApiKey
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

// ===== impl Authority =====

impl<B> Key<Request<B>> for Authority {
    type Key = http::uri::Authority;

    fn key(&self, req: &Request<B>) -> Option<Self::Key> {
        match req.uri().authority() {
            Some(authority) if !authority.as_str().contains('@') => Some(authority.clone()),
            Some(authority) => without_user(authority.as_str()),
            None => without_user(req.headers().get(HOST)?.to_str().ok()?),
        }
    }
}

fn without_user(authority: &str) -> Option<http::uri::Authority> {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host).parse().ok()
}

// ===== impl Path =====

impl Path {
    /// The hash of the path in its place, which allocates nothing and is small however long a path is.
    #[must_use]
    pub fn hashed(self) -> Hashed<Self> {
        Hashed::new(self)
    }
}

impl<B> Key<Request<B>> for Path {
    type Key = Box<str>;

    fn key(&self, req: &Request<B>) -> Option<Self::Key> {
        Some(req.uri().path().into())
    }
}

// ===== impl Header =====

impl Header {
    /// The hash of the value in its place, which says nothing of it.
    #[must_use]
    pub fn hashed(self) -> Hashed<Self> {
        Hashed::new(self)
    }

    pub(super) fn value<'a, B>(&self, req: &'a Request<B>) -> Option<&'a HeaderValue> {
        req.headers().get(&self.name)
    }
}

impl<B> Key<Request<B>> for Header {
    type Key = HeaderValue;

    fn key(&self, req: &Request<B>) -> Option<Self::Key> {
        let mut value = self.value(req)?.clone();
        if [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, X_API_KEY].contains(&self.name) {
            value.set_sensitive(true);
        }
        Some(value)
    }
}

// ===== impl ApiKey =====

impl ApiKey {
    /// The hash of the credential in its place, so that no table keeps credentials.
    #[must_use]
    pub fn hashed(self) -> Hashed<Self> {
        Hashed::new(self)
    }

    pub(super) fn value<B>(req: &Request<B>) -> Option<&HeaderValue> {
        req.headers().get(X_API_KEY).or_else(|| req.headers().get(AUTHORIZATION))
    }
}

impl<B> Key<Request<B>> for ApiKey {
    type Key = HeaderValue;

    fn key(&self, req: &Request<B>) -> Option<Self::Key> {
        let mut value = Self::value(req)?.clone();
        value.set_sensitive(true);
        Some(value)
    }
}
