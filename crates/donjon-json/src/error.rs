use std::{error::Error, fmt};

use bytes::Bytes;
use donjon_core::{CallError, Reject, Rejection, error_chain};
use donjon_http::redact;
use http::{Extensions, HeaderMap, Method, Response, StatusCode, Uri, header};
use serde::de::DeserializeOwned;

use crate::{
    DecodeError, Problem, decode, media,
    redact::{RedactedHeaders, RedactedUrl, Short},
    target::Fault,
};

/// Why a call gave no value: which call, and what was wrong with what.
///
/// One pointer wide. `Display` says in one line the method, the URL, the status and the fault; of a failure below the
/// deepest cause, and with `{:#}` each [`source`](Error::source) on the way there. Neither `Display` nor `Debug` shows a secret: the user
/// information and the query values of the URL, the values of secret headers, and whatever stands in a body are masked.
/// The methods give all of it.
///
/// # Example
///
/// ```
/// # use bytes::Bytes;
/// # use http_body_util::Full;
/// use donjon_json::{JsonClient, JsonErrorKind};
///
/// # #[derive(Debug, serde::Deserialize)]
/// # struct User { name: String }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let service = tower::service_fn(|_: http::Request<Full<Bytes>>| async {
/// #     let body = r#"{"type":"https://example.com/gone","title":"No such user","tried":3}"#;
/// #     let response = http::Response::builder().status(404).header("content-type", "application/problem+json");
/// #     Ok::<_, std::convert::Infallible>(response.body(Full::new(Bytes::from(body))).unwrap())
/// # });
/// let api = JsonClient::new(service).base("https://api.example.com")?;
/// let error = api.get("/users/42").send::<User>().await.unwrap_err();
///
/// assert_eq!(error.to_string(), "GET https://api.example.com/users/42: 404 Not Found: No such user");
/// assert_eq!(error.kind(), JsonErrorKind::Status);
/// let problem = error.problem().expect("the service sent a problem document");
/// assert_eq!(problem.extension::<u32>("tried"), Some(3));
/// # Ok::<(), donjon_json::JsonError>(())
/// # }).unwrap();
/// ```
pub struct JsonError(Box<Inner>);

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// The call cannot be made into a request: its URL, a parameter, a header or its body. Nothing was sent.
    InvalidCall,
    /// A layer refused the call or gave it up; see [`as_rejection`](Reject::as_rejection).
    Refused,
    /// The service below failed without a response.
    Transport,
    /// The status is none of 200 to 299.
    Status,
    /// A redirect that was to be followed leads nowhere, or back, or too far.
    Redirect,
    /// The body ended before it was complete, or its reading failed.
    Body,
    /// The body is larger than the cap.
    BodyTooLarge,
    /// The body is of a content type that is not JSON.
    ContentType,
    /// The body is not what was asked for; see [`decode_error`](JsonError::decode_error).
    Decode,
}

struct Inner {
    failure: Failure,
    method: Option<Method>,
    target: Where,
    head: Option<Response<()>>,
    body: Bytes,
    truncated: bool,
    problem: Option<Problem>,
    redirected: bool,
}

/// What the call was for.
pub(crate) enum Where {
    Nowhere,
    Url(Uri),
    /// As it may be shown, where no URL could be made.
    Text(String),
}

/// What was wrong, with what is known of it.
pub enum Failure {
    InvalidCall(Fault),
    /// Of the service: refused or failed.
    Service(CallError),
    Status,
    Redirect(Fault),
    /// Of reading the body, after this many bytes.
    Body(CallError, u64),
    /// The cap.
    BodyTooLarge(u64),
    ContentType,
    Decode(DecodeError),
}

// ===== impl JsonError =====

impl JsonError {
    pub(crate) fn new(failure: Failure, method: Option<Method>, target: Where) -> Self {
        Self(Box::new(Inner {
            failure,
            method,
            target,
            head: None,
            body: Bytes::new(),
            truncated: false,
            problem: None,
            redirected: false,
        }))
    }

    pub(crate) fn with_response(mut self, head: Response<()>, body: Bytes, truncated: bool) -> Self {
        if media::is_problem(head.headers()) {
            self.0.problem = Problem::parse(&body);
        }
        self.0.head = Some(head);
        self.0.body = body;
        self.0.truncated = truncated;
        self
    }

    /// Says whether this call had been answered before, by a redirect.
    pub(crate) fn with_redirected(mut self, redirected: bool) -> Self {
        self.0.redirected = redirected;
        self
    }

    /// Whether anything was answered: by a response that is the fault, or by a redirect before.
    pub(crate) fn was_answered(&self) -> bool {
        self.0.redirected || self.0.head.is_some()
    }

    pub(crate) fn failure(&self) -> &Failure {
        &self.0.failure
    }

    pub(crate) fn head(&self) -> Option<&Response<()>> {
        self.0.head.as_ref()
    }

    /// What was wrong.
    #[must_use]
    pub fn kind(&self) -> JsonErrorKind {
        match &self.0.failure {
            Failure::InvalidCall(_) => JsonErrorKind::InvalidCall,
            Failure::Service(_) | Failure::Body(..) if self.as_rejection().is_some() => JsonErrorKind::Refused,
            Failure::Service(_) => JsonErrorKind::Transport,
            Failure::Status => JsonErrorKind::Status,
            Failure::Redirect(_) => JsonErrorKind::Redirect,
            Failure::Body(..) => JsonErrorKind::Body,
            Failure::BodyTooLarge(_) => JsonErrorKind::BodyTooLarge,
            Failure::ContentType => JsonErrorKind::ContentType,
            Failure::Decode(_) => JsonErrorKind::Decode,
        }
    }

    /// The method of the call; `None` if it failed before there was a call.
    #[must_use]
    pub fn method(&self) -> Option<&Method> {
        self.0.method.as_ref()
    }

    /// The URL of the call, after redirects; `None` if none could be made.
    #[must_use]
    pub fn url(&self) -> Option<RedactedUrl<'_>> {
        match &self.0.target {
            Where::Url(uri) => Some(RedactedUrl::new(uri)),
            Where::Nowhere | Where::Text(_) => None,
        }
    }

    /// The status, if there was a response.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.head().map(Response::status)
    }

    /// The headers of the response, if there was one.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.head().map(Response::headers)
    }

    /// What the layers below have left in the response, if there was one.
    #[must_use]
    pub fn extensions(&self) -> Option<&Extensions> {
        self.head().map(Response::extensions)
    }

    /// The body of the response, as far as it was read and kept: at most the client's
    /// [`max_error_body`](crate::JsonClient::max_error_body).
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// Whether there was more of the body than is kept.
    #[must_use]
    pub fn is_body_truncated(&self) -> bool {
        self.0.truncated
    }

    /// The problem document of the response, if it is one by its content type (RFC 9457).
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        self.0.problem.as_ref()
    }

    /// Reads the body of the response as a `T`: the error type of the service.
    ///
    /// # Errors
    ///
    /// If the body is no `T`: because it is something else, was cut off at the cap, or was never there.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        decode::from_body(&self.0.body)
    }

    /// Why the body is not what was asked for, if that is the fault.
    #[must_use]
    pub fn decode_error(&self) -> Option<&DecodeError> {
        match &self.0.failure {
            Failure::Decode(error) => Some(error),
            _ => None,
        }
    }
}

impl Reject for JsonError {
    fn from_rejection(rejection: Rejection) -> Self {
        Self::new(Failure::Service(CallError::from_rejection(rejection)), None, Where::Nowhere)
    }

    fn as_rejection(&self) -> Option<&Rejection> {
        match &self.0.failure {
            Failure::Service(error) | Failure::Body(error, _) => error.as_rejection(),
            _ => None,
        }
    }

    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl Error for JsonError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.failure {
            Failure::Service(error) | Failure::Body(error, _) => Some(error.as_error()),
            // Its text is in ours.
            _ => None,
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if let Some(method) = &inner.method {
            write!(f, "{method} ")?;
        }
        match &inner.target {
            Where::Url(uri) => write!(f, "{}: ", RedactedUrl::new(uri))?,
            Where::Text(text) => write!(f, "{text}: ")?,
            Where::Nowhere => {}
        }
        if let Some(status) = self.status() {
            match inner.failure {
                Failure::Status => write!(f, "{status}")?,
                Failure::InvalidCall(_) | Failure::Service(_) | Failure::Redirect(_) => {}
                _ => write!(f, "{status}, but its body ")?,
            }
        }
        match &inner.failure {
            Failure::InvalidCall(fault) | Failure::Redirect(fault) => f.write_str(fault)?,
            Failure::Service(_) => match self.as_rejection() {
                Some(rejection) => write!(f, "the call was refused by {}: {}", rejection.layer(), rejection.kind())?,
                None => {
                    f.write_str("the call failed without a response")?;
                    self.fmt_reason(f)?;
                }
            },
            Failure::Status => self.fmt_status(f)?,
            Failure::Body(_, read) => match self.as_rejection() {
                Some(rejection) => write!(f, "was given up after {read} bytes: {}", rejection.kind())?,
                None => {
                    write!(f, "could not be read to its end: {read} bytes came")?;
                    self.fmt_reason(f)?;
                }
            },
            Failure::BodyTooLarge(cap) => write!(f, "is larger than {cap} bytes")?,
            Failure::ContentType => {
                let value = self.headers().and_then(|headers| headers.get(header::CONTENT_TYPE));
                let value = value.map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
                write!(f, "is of the type `{}`, which is not JSON", Short(&value))?;
            }
            Failure::Decode(error) => {
                write!(f, "{error}")?;
                let encoding = self.headers().and_then(|headers| headers.get(header::CONTENT_ENCODING));
                let encoding = encoding.map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
                if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
                    write!(f, " (it is still encoded: `{}`)", Short(&encoding))?;
                }
            }
        }
        if f.alternate() {
            let mut before = String::new();
            for error in self.sources() {
                let text = error.to_string();
                // An io error says what the error inside of it says.
                if text != before {
                    write!(f, ": {}", Short(&text))?;
                }
                before = text;
            }
        }
        Ok(())
    }
}

impl JsonError {
    /// The deepest cause, unless all of them follow.
    fn fmt_reason(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return Ok(());
        }
        match self.sources().last() {
            Some(reason) => write!(f, ": {}", Short(&reason.to_string())),
            None => Ok(()),
        }
    }

    fn sources(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        self.source().into_iter().flat_map(error_chain)
    }

    /// What is known beyond the status.
    fn fmt_status(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(title) = self.problem().and_then(Problem::title) {
            write!(f, ": {}", Short(title))?;
        }
        if self.status().is_some_and(|status| status.is_redirection()) {
            let location = self.headers().and_then(|headers| headers.get(header::LOCATION));
            if let Some(location) = location {
                let location = redact::text(&String::from_utf8_lossy(location.as_bytes())).to_string();
                write!(f, ", a redirect to {} that was not followed", Short(&location))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        let mut out = f.debug_struct("JsonError");
        out.field("kind", &self.kind());
        if let Some(method) = &inner.method {
            out.field("method", method);
        }
        match &inner.target {
            Where::Url(uri) => {
                out.field("url", &RedactedUrl::new(uri));
            }
            Where::Text(text) => {
                out.field("url", text);
            }
            Where::Nowhere => {}
        }
        if let Some(head) = &inner.head {
            out.field("status", &head.status()).field("headers", &RedactedHeaders(head.headers()));
            out.field("body", &format_args!("{} bytes", inner.body.len())).field("truncated", &inner.truncated);
        }
        if let Some(problem) = &inner.problem {
            out.field("problem", problem);
        }
        match &inner.failure {
            Failure::InvalidCall(fault) | Failure::Redirect(fault) => out.field("fault", fault),
            Failure::Service(error) | Failure::Body(error, _) => out.field("source", error),
            Failure::BodyTooLarge(cap) => out.field("cap", cap),
            Failure::Decode(error) => out.field("decode", error),
            Failure::Status | Failure::ContentType => &mut out,
        };
        out.finish()
    }
}

// ===== impl JsonErrorKind =====

impl JsonErrorKind {
    /// A short stable name, for logs and metrics: `invalid-call`, `status`, …
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidCall => "invalid-call",
            Self::Refused => "refused",
            Self::Transport => "transport",
            Self::Status => "status",
            Self::Redirect => "redirect",
            Self::Body => "body",
            Self::BodyTooLarge => "body-too-large",
            Self::ContentType => "content-type",
            Self::Decode => "decode",
        }
    }
}

impl fmt::Display for JsonErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
