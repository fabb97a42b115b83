use std::fmt;

use http::{Extensions, HeaderMap, Response, StatusCode, Uri, Version};

use crate::redact::{RedactedHeaders, RedactedUrl};

/// A typed body with the status, the headers and the extensions that came with it.
///
/// `Debug` masks secret headers, and does not show the body.
pub struct Reply<T> {
    head: Response<()>,
    uri: Uri,
    body: T,
}

// ===== impl Reply =====

impl<T> Reply<T> {
    pub(crate) fn new(head: Response<()>, uri: Uri, body: T) -> Self {
        Self { head, uri, body }
    }

    /// The status: one of the successful ones, 200 to 299.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.head.status()
    }

    /// The version of HTTP.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }

    /// What the layers below have left in the response: how many attempts it took, from where it came.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        self.head.extensions()
    }

    /// The URL that has answered, after redirects.
    #[must_use]
    pub fn url(&self) -> RedactedUrl<'_> {
        RedactedUrl::new(&self.uri)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &T {
        &self.body
    }

    /// The body alone.
    #[must_use]
    pub fn into_body(self) -> T {
        self.body
    }

    /// The same with another body.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Reply<U> {
        Reply { head: self.head, uri: self.uri, body: f(self.body) }
    }
}

impl<T: Clone> Clone for Reply<T> {
    fn clone(&self) -> Self {
        Self { head: self.head.clone(), uri: self.uri.clone(), body: self.body.clone() }
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status())
            .field("url", &self.url())
            .field("headers", &RedactedHeaders(self.headers()))
            .finish_non_exhaustive()
    }
}
