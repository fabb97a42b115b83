use std::time::Duration;

use bytes::Bytes;
use donjon_core::Rejection;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};

use crate::{
    grpc::{GRPC_MESSAGE, GRPC_RETRY_PUSHBACK_MS, GRPC_STATUS},
    rate_limit, retry_after,
};

/// How a refusal is written.
///
/// Any closure `Fn(&Rejection) -> Response<Bytes>` is one, and answers gRPC requests too in the way that it likes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot write a refusal",
    label = "not a way to write a refusal",
    note = "use `Problem`, `Plain`, or a closure `|rejection: &Rejection| -> http::Response<Bytes>`"
)]
pub trait Render {
    /// The response for this refusal to a request of this sort.
    fn render(&self, rejection: &Rejection, asked: Asked) -> Response<Bytes>;
}

/// What of a request matters to how it is refused. Kept in place of the request, which the stack has by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asked {
    /// Whether it is a call of gRPC: a `POST` whose `content-type` is `application/grpc`, with or without a suffix.
    pub grpc: bool,
    /// Whether the method is `HEAD`: what is rendered loses its body, and keeps the length of it as `content-length`.
    pub head: bool,
}

/// Writes [`problem_response`], and [`grpc_response`] to a call of gRPC. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Problem;

/// Writes [`plain_response`], and [`grpc_response`] to a call of gRPC.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

// ===== Responses =====

/// The refusal as an HTTP response: its status, `Retry-After` in whole seconds rounded up if it says when, and a
/// problem document (RFC 9457) of the generic type `about:blank`, with the kind of the refusal as its `code`.
///
/// It does not say which layer refused, nor in which phase: that is the server's own business.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_core::{Rejection, RejectionKind};
/// use donjon_http::problem_response;
///
/// let rejection = Rejection::new(RejectionKind::Overloaded, "limit").with_retry_after(Duration::from_millis(1200));
/// let response = problem_response(&rejection);
/// assert_eq!(response.status(), 503);
/// assert_eq!(response.headers()["retry-after"], "2");
/// assert_eq!(
///     response.body(),
///     r#"{"type":"about:blank","title":"Service Unavailable","status":503,"code":"overloaded"}"#,
/// );
/// ```
#[must_use]
pub fn problem_response(rejection: &Rejection) -> Response<Bytes> {
    let status = status(rejection);
    // All of it is text of ours without a character that JSON would have to escape.
    let body = format!(
        r#"{{"type":"about:blank","title":"{}","status":{},"code":"{}"}}"#,
        status.canonical_reason().unwrap_or("Error"),
        status.as_u16(),
        rejection.kind(),
    );
    response(rejection, "application/problem+json", body)
}

/// The refusal as an HTTP response: its status, `Retry-After` in whole seconds rounded up if it says when, and the kind
/// of the refusal as a line of text.
#[must_use]
pub fn plain_response(rejection: &Rejection) -> Response<Bytes> {
    response(rejection, "text/plain; charset=utf-8", format!("{}\n", rejection.kind()))
}

/// The refusal as a response of gRPC without a message: HTTP status 200, `grpc-status`, and the kind of the refusal as
/// `grpc-message`. If it says when to come back, `grpc-retry-pushback-ms` does too (gRFC A6), rounded up; a rate that says no
/// time refuses for good, which is -1.
#[must_use]
pub fn grpc_response(rejection: &Rejection) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.headers_mut() = grpc_trailers(rejection);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The refusal as the trailers that end a response of gRPC: what [`grpc_response`] says in its headers.
#[must_use]
pub fn grpc_trailers(rejection: &Rejection) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(GRPC_STATUS, HeaderValue::from(u16::from(rejection.kind().grpc_code())));
    trailers.insert(GRPC_MESSAGE, HeaderValue::from_static(rejection.kind().as_str()));
    if let Some(after) = rejection.retry_after() {
        let millis = i32::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
        trailers.insert(GRPC_RETRY_PUSHBACK_MS, HeaderValue::from(millis));
    } else if rejection.outcome().retry_after() == Some(Duration::MAX) {
        trailers.insert(GRPC_RETRY_PUSHBACK_MS, HeaderValue::from_static("-1"));
    }
    trailers
}

fn response(rejection: &Rejection, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status(rejection);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(after) = rejection.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, retry_after::format(after));
    }
    if let Some(quota) = rejection.quota() {
        rate_limit::append(response.headers_mut(), quota);
    }
    response
}

fn status(rejection: &Rejection) -> StatusCode {
    StatusCode::from_u16(rejection.kind().http_status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

// ===== impl Asked =====

impl Asked {
    /// What of this request matters.
    pub fn of<B>(request: &Request<B>) -> Self {
        // A call of gRPC is a POST: others need no look at their fields.
        let grpc = request.method() == Method::POST && is_grpc(request.headers());
        Self { grpc, head: request.method() == Method::HEAD }
    }
}

/// Whether these are the headers of a message of gRPC, by their `content-type`. gRPC-Web, which has its trailers in the
/// body, is not meant.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(rest) = headers.get(CONTENT_TYPE).and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"))
    else {
        return false;
    };
    matches!(rest.first(), None | Some(b'+' | b';'))
}

// ===== impl Render =====

impl Render for Problem {
    fn render(&self, rejection: &Rejection, asked: Asked) -> Response<Bytes> {
        if asked.grpc { grpc_response(rejection) } else { problem_response(rejection) }
    }
}

impl Render for Plain {
    fn render(&self, rejection: &Rejection, asked: Asked) -> Response<Bytes> {
        if asked.grpc { grpc_response(rejection) } else { plain_response(rejection) }
    }
}

impl<F: Fn(&Rejection) -> Response<Bytes>> Render for F {
    fn render(&self, rejection: &Rejection, _: Asked) -> Response<Bytes> {
        self(rejection)
    }
}
