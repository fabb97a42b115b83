//! What a redirect makes of a request.

use bytes::Bytes;
use donjon_http::redact;
use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode, Uri, header, uri::Scheme};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::{
    RedactedUrl,
    redact::{Short, is_secret},
    target::Fault,
    url::{resolve_reference, same_origin},
};

/// A request whose redirects are followed: what is needed to send it on, and where it has been.
pub(crate) struct Follow<S> {
    /// A clone that nobody has readied.
    pub(crate) service: S,
    limit: u32,
    visited: Vec<(Method, Uri)>,
    headers: HeaderMap,
    body: Bytes,
    extensions: Extensions,
}

// ===== impl Follow =====

impl<S> Follow<S> {
    pub(crate) fn new(service: S, limit: u32, request: &Request<Bytes>) -> Self {
        Self {
            service,
            limit,
            visited: vec![(request.method().clone(), request.uri().clone())],
            headers: request.headers().clone(),
            body: request.body().clone(),
            extensions: request.extensions().clone(),
        }
    }

    /// The next request, if this response is a redirect; a fault if it leads nowhere.
    pub(crate) fn next<B>(&mut self, response: &Response<B>) -> Option<Result<Request<Bytes>, Fault>> {
        let status = response.status();
        let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = response.headers().get(header::LOCATION).filter(|_| is_redirect)?;
        Some(self.follow(status, &percent_encoded(location.as_bytes())))
    }

    fn follow(&mut self, status: StatusCode, location: &str) -> Result<Request<Bytes>, Fault> {
        let Some((method, here)) = self.visited.last() else { return Err("the redirect has no start".into()) };
        let there = resolve_reference(here, location)
            .map_err(|fault| format!("{status} to `{}`: {fault}", Short(&redact::text(location).to_string())))?;
        let shown = RedactedUrl::new(&there);
        let method = method_after(status, method);
        if self.visited.iter().any(|(was, uri)| *was == method && is_same(uri, &there)) {
            return Err(format!("{status} to {shown}, where this call has been before: a redirect loop").into());
        }
        if self.visited.len() > self.limit as usize {
            return Err(format!("{status} to {shown}, after {} redirects, the most to be followed", self.limit).into());
        }
        if !same_origin(here, &there) {
            // What is secret was for the first host, and so was its name.
            self.headers.remove(header::HOST);
            let secret: Vec<_> = self
                .headers
                .iter()
                .filter(|(name, value)| is_secret(name, value))
                .map(|(name, _)| name.clone())
                .collect();
            for name in secret {
                self.headers.remove(name);
            }
        }
        if self.visited.last().is_some_and(|(was, _)| *was != method) {
            self.body = Bytes::new();
            let about_body = [
                header::CONTENT_TYPE,
                header::CONTENT_ENCODING,
                header::CONTENT_LANGUAGE,
                header::CONTENT_LENGTH,
                header::TRANSFER_ENCODING,
            ];
            for name in about_body {
                self.headers.remove(name);
            }
        }
        if !self.body.is_empty() && is_downgrade(here, &there) {
            return Err(format!("{status} to {shown}, which would send the body in clear").into());
        }
        self.visited.push((method.clone(), there.clone()));
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = method;
        *request.uri_mut() = there;
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = self.extensions.clone();
        Ok(request)
    }
}

/// What may not stand in a URL, and stands in many a `Location`: percent-encoded, as browsers do.
fn percent_encoded(location: &[u8]) -> String {
    const NOT_IN_URLS: &AsciiSet = &CONTROLS.add(b' ');
    percent_encode(location.trim_ascii(), NOT_IN_URLS).to_string()
}

/// Whether two URLs are the same, however they are written.
fn is_same(a: &Uri, b: &Uri) -> bool {
    a.path_and_query() == b.path_and_query() && same_origin(a, b)
}

/// Whether what was encrypted on the way to the one is not on the way to the other.
fn is_downgrade(from: &Uri, to: &Uri) -> bool {
    from.scheme() == Some(&Scheme::HTTPS) && to.scheme() != Some(&Scheme::HTTPS)
}

/// RFC 9110, section 15.4, as browsers do it: `303` makes all but `HEAD` a `GET`, `301` and `302` make a `POST` a `GET`,
/// and the rest stays what it was.
fn method_after(status: StatusCode, method: &Method) -> Method {
    match status {
        StatusCode::SEE_OTHER if *method != Method::HEAD => Method::GET,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if *method == Method::POST => Method::GET,
        _ => method.clone(),
    }
}
