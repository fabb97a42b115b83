//! Whether a request may be sent again when it is not known whether the first one was acted on.

use http::{HeaderName, Method, Request};

/// The request field by which a server recognises that two requests are the same one
/// (draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What the caller knows of a request, as an extension of it; it overrides method and headers.
///
/// # Example
///
/// ```
/// use donjon_http::{Idempotent, idempotency::is_idempotent};
///
/// let mut request = http::Request::post("/search").body(())?;
/// assert!(!is_idempotent(&request));
/// request.extensions_mut().insert(Idempotent(true));
/// assert!(is_idempotent(&request));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Idempotent(pub bool);

/// Whether sending this request twice has the effect of sending it once.
///
/// The first of these that says something decides:
///
/// 1. the extension [`Idempotent`];
/// 2. a field `Idempotency-Key` that is not empty: yes;
/// 3. the method, by RFC 9110, section 9.2.2: `GET`, `HEAD`, `OPTIONS`, `TRACE`, `PUT` and `DELETE` are idempotent, and
///    no other method is assumed to be.
#[must_use]
pub fn is_idempotent<B>(request: &Request<B>) -> bool {
    if let Some(&Idempotent(said)) = request.extensions().get() {
        return said;
    }
    if request.headers().get(IDEMPOTENCY_KEY).is_some_and(|key| !key.as_bytes().trim_ascii().is_empty()) {
        return true;
    }
    is_idempotent_method(request.method())
}

/// Whether RFC 9110, section 9.2.2, calls this method idempotent.
#[must_use]
pub fn is_idempotent_method(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE)
}
