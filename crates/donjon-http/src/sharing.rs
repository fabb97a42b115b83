//! The strict rule of what may be shared among callers: which requests are the same for all, and which answers many may
//! have. Coalescing and the simple cache go by it.

use std::{fmt, sync::Arc};

use donjon_core::Key;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{
        ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, COOKIE, EXPECT, HOST, IF_MATCH,
        IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, PRAGMA, PROXY_AUTHORIZATION, RANGE,
        SET_COOKIE, UPGRADE, VARY,
    },
};
use http_body::Body;

use crate::redact;

/// The key of requests of HTTP that may be made once for many, by a strict rule. Made by [`HttpRequests::new`].
///
/// Two requests are the same if they have the same method, the same URI, and the same values of these fields: `Accept`,
/// `Accept-Encoding`, `Accept-Language`, `Host`, and those of [`field`](Self::field).
///
/// A request goes through alone if
///
/// - its method is neither `GET` nor `HEAD`, or it has a body;
/// - it may be one user's: it has `Authorization`, `Proxy-Authorization`, `Cookie` or `X-Api-Key`, user information in its
///   URI, or a field of [`private_field`](Self::private_field);
/// - it asks for something of its own: it has `Range`, `If-Match`, `If-None-Match`, `If-Modified-Since`,
///   `If-Unmodified-Since`, `If-Range`, `Upgrade` or `Expect`;
/// - it does not want the answer to another: `Cache-Control` has `no-store`, `no-cache` or `max-age=0`, or `Pragma` has
///   `no-cache`.
///
/// All other fields make no difference. **If users are told apart by anything else**, such as a field of your own or an
/// extension, name it with `field` or `private_field`, or take a closure as the key.
///
/// # Example
///
/// ```
/// use donjon_core::Key;
/// use donjon_http::sharing::HttpRequests;
/// use http::Request;
/// use http_body_util::Empty;
///
/// let get = |user: Option<&str>| {
///     let request = Request::get("https://example.com/news");
///     let request = match user {
///         Some(user) => request.header("authorization", user),
///         None => request,
///     };
///     request.body(Empty::<&[u8]>::new()).expect("it is a request")
/// };
/// let rule = HttpRequests::new();
/// assert_eq!(rule.key(&get(None)), rule.key(&get(None)), "anybody gets the same");
/// assert_eq!(rule.key(&get(Some("Ada"))), None, "what may be one user's is shared with nobody");
/// ```
#[derive(Clone)]
pub struct HttpRequests {
    fields: Arc<[HeaderName]>,
    private: Arc<[HeaderName]>,
    /// A request that says how old its answer may be goes through alone.
    ageless: bool,
}

/// The key that [`HttpRequests`] makes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpKey {
    method: Method,
    uri: Uri,
    fields: Box<[(HeaderName, HeaderValue)]>,
}

/// What of an answer of HTTP may be shared, by a strict rule.
///
/// An answer is for one alone if it has `Set-Cookie`, if its `Cache-Control` has `no-store`, `private` or `no-cache`, or if
/// its `Vary` names a field that is no part of the key. Those who waited for it then make a call each. Made by
/// [`HttpRequests::responses`].
#[derive(Clone)]
pub struct HttpResponses {
    fields: Arc<[HeaderName]>,
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

const FIELDS: [HeaderName; 4] = [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HOST];

const ALONE: [HeaderName; 12] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    X_API_KEY,
    RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    IF_RANGE,
    UPGRADE,
    EXPECT,
];

// ===== impl HttpRequests =====

impl HttpRequests {
    /// The strict rule.
    #[must_use]
    pub fn new() -> Self {
        Self { fields: FIELDS.into(), private: [].into(), ageless: false }
    }

    /// Requests with other values of this field are other requests. Answers that vary by it can be shared then.
    #[must_use]
    pub fn field(mut self, name: HeaderName) -> Self {
        self.fields = self.fields.iter().cloned().chain([name]).collect();
        self
    }

    /// Requests with this field go through alone.
    #[must_use]
    pub fn private_field(mut self, name: HeaderName) -> Self {
        self.private = self.private.iter().cloned().chain([name]).collect();
        self
    }

    /// A request whose `Cache-Control` says how old its answer may be (`max-age`, `min-fresh`, `only-if-cached`) goes
    /// through alone too. For whoever remembers answers.
    #[must_use]
    pub fn of_any_age(mut self) -> Self {
        self.ageless = true;
        self
    }

    /// The rule for the answers to these requests.
    #[must_use]
    pub fn responses(&self) -> HttpResponses {
        HttpResponses { fields: Arc::clone(&self.fields) }
    }
}

impl Default for HttpRequests {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Body> Key<Request<B>> for HttpRequests {
    type Key = HttpKey;

    fn key(&self, request: &Request<B>) -> Option<HttpKey> {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        if !matches!(*method, Method::GET | Method::HEAD) || !request.body().is_end_stream() {
            return None;
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return None;
        }
        if ALONE.iter().chain(&*self.private).any(|name| headers.contains_key(name)) {
            return None;
        }
        if has_directive(headers, &CACHE_CONTROL, &["no-store", "no-cache", "max-age=0"])
            || has_directive(headers, &PRAGMA, &["no-cache"])
            || self.ageless && has_directive(headers, &CACHE_CONTROL, &["max-age", "min-fresh", "only-if-cached"])
        {
            return None;
        }
        let values = |name| headers.get_all(name).iter().map(move |value| (HeaderName::clone(name), value.clone()));
        let fields = self.fields.iter().flat_map(values).collect();
        Some(HttpKey { method: method.clone(), uri: uri.clone(), fields })
    }
}

impl fmt::Debug for HttpRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequests").field("fields", &self.fields).field("private", &self.private).finish()
    }
}

// ===== impl HttpKey =====

impl HttpKey {
    /// The method: `GET` or `HEAD`.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The URI as it was asked for.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The bytes that it owns, about: for whoever weighs it.
    #[must_use]
    pub fn weight(&self) -> usize {
        let uri = &self.uri;
        let uri =
            uri.authority().map_or(0, |it| it.as_str().len()) + uri.path_and_query().map_or(0, |it| it.as_str().len());
        let fields = self.fields.iter().map(|field| size_of_val(field) + field.0.as_str().len() + field.1.len());
        uri + fields.sum::<usize>()
    }

    /// The same key in memory of its own. What was parsed is a piece of the buffer that it came in, and keeps all of that
    /// alive: nothing to remember for long.
    #[must_use]
    pub fn detached(&self) -> Self {
        let uri = self.uri.to_string().parse().ok().filter(|own| *own == self.uri);
        let fields = self.fields.iter().map(|(name, value)| (name.clone(), detached(value)));
        Self { method: self.method.clone(), uri: uri.unwrap_or_else(|| self.uri.clone()), fields: fields.collect() }
    }

    /// The values of a field that is part of the key.
    pub fn field(&self, name: &HeaderName) -> impl Iterator<Item = &HeaderValue> {
        self.fields.iter().filter(move |(own, _)| own == name).map(|(_, value)| value)
    }
}

/// Without the values of the query and of the fields.
impl fmt::Debug for HttpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpKey({} {})", self.method, redact::uri(&self.uri))
    }
}

// ===== impl HttpResponses =====

impl HttpResponses {
    /// Whether others than the one who asked may have an answer with these header fields.
    #[must_use]
    pub fn allows(&self, headers: &HeaderMap) -> bool {
        !headers.contains_key(SET_COOKIE)
            && !has_directive(headers, &CACHE_CONTROL, &["no-store", "private", "no-cache"])
            && !headers.get_all(VARY).iter().any(|value| self.varies_beyond(value))
    }

    fn varies_beyond(&self, vary: &HeaderValue) -> bool {
        let Ok(vary) = vary.to_str() else { return true };
        let mut names = vary.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.any(|name| !self.fields.iter().any(|field| field.as_str().eq_ignore_ascii_case(name)))
    }
}

impl fmt::Debug for HttpResponses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponses").field("fields", &self.fields).finish()
    }
}

/// The same value in memory of its own, for whoever remembers it for long: one that was parsed keeps the buffer alive that
/// it came in.
#[must_use]
pub fn detached(value: &HeaderValue) -> HeaderValue {
    // A parser may let through what is no value: that one is shared.
    let mut own = HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
    own.set_sensitive(value.is_sensitive());
    own
}

/// Whether one of these directives is there, with or without a value; or something that cannot be read.
fn has_directive(headers: &HeaderMap, name: &HeaderName, directives: &[&str]) -> bool {
    headers.get_all(name).iter().any(|value| {
        let Ok(value) = value.to_str() else { return true };
        // A semicolon does not belong there, and is taken for the comma that was meant.
        value.split([',', ';']).any(|part| {
            let part: String = part.chars().filter(|it| !it.is_whitespace() && *it != '"').collect();
            let bare = part.split_once('=').map_or(&*part, |(name, _)| name);
            directives.iter().any(|it| part.eq_ignore_ascii_case(it) || bare.eq_ignore_ascii_case(it))
        })
    })
}
