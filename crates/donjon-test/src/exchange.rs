use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::HeaderName};
use http_body::Body;
use http_body_util::Full;

/// What is said between a caller and a [`Probe`](crate::Probe): requests and responses that carry the number of their
/// call, so that the kit can follow a call through any layer.
///
/// [`Http`] and [`Number`] are there; implement it, with [`Accept`] and [`Read`], for a protocol of your own.
pub trait Exchange: Clone + fmt::Debug + Send + Sync + 'static {
    /// What the kit sends into the layer.
    type Request;
    /// What the probe answers.
    type Response;

    /// The request of the call of this number. Different numbers make requests that no cache takes for the same.
    fn request(&self, id: u64) -> Self::Request;

    /// The answer to it.
    fn answer(&self, id: u64) -> Self::Response;

    /// A response that says that the service failed, where the protocol has one; unless said, the answer.
    fn unavailable(&self, id: u64) -> Self::Response {
        self.answer(id)
    }
}

/// How the probe reads a request `Q` that a layer sends inward: that of the exchange, or what the layer makes of it.
#[diagnostic::on_unimplemented(
    message = "the probe cannot read a request `{Q}` of the exchange `{Self}`",
    note = "`Http` reads `http::Request<B>` with any `B: http_body::Body + Send + 'static`, `Number` reads `u64`"
)]
pub trait Accept<Q>: Exchange {
    /// The number of its call, and what reads the rest.
    fn accept(&self, request: Q) -> Message;
}

/// How the kit reads a response `R` that a layer hands outward: that of the exchange, or what the layer makes of it.
#[diagnostic::on_unimplemented(
    message = "the kit cannot read a response `{R}` of the exchange `{Self}`",
    note = "`Http` reads `http::Response<B>` with any `B: http_body::Body + 'static`, `Number` reads `u64`"
)]
pub trait Read<R>: Exchange {
    /// The number of the call that it answers, and what reads the rest.
    fn read(&self, response: R) -> LocalMessage;
}

/// A request as it arrives at the probe. It stays alive as long as the probe works on it.
pub struct Message {
    id: Option<u64>,
    body: Pin<Box<dyn ReadBody + Send>>,
}

/// A response as it arrives at the caller. The kit keeps it alive, to see what it still holds once it has been read.
pub struct LocalMessage {
    id: Option<u64>,
    body: Pin<Box<dyn ReadBody>>,
}

/// Reads what follows the head of a message.
pub trait ReadBody {
    /// Ready once all has been read: `Err` says in what it differs from what was sent. Not called again after that.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), String>>;
}

/// Requests and responses of HTTP: `http::Request<Full<Bytes>>` to `http::Response<Full<Bytes>>`.
///
/// Each call has a URI of its own, a header field with its number, and a small body. The method is `PUT`, which is
/// idempotent and has a body; [`Http::get`] makes it `GET` with an empty one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Http {
    get: bool,
}

/// Requests and responses that are a `u64`: for layers that know nothing of HTTP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Number;

/// The answer to the number `n` is `ANSWER ^ n`.
const ANSWER: u64 = 0xA115_3E00_0000_0000;
/// No call has a number as high as this.
const CALLS: u64 = 1 << 32;
const CALL: HeaderName = HeaderName::from_static("x-probe-call");

// ===== impl Message =====

impl Message {
    /// The message of this call, whose rest `body` reads. `None` says that it is none of the exchange's messages: a
    /// layer has changed it.
    pub fn new(id: Option<u64>, body: impl ReadBody + Send + 'static) -> Self {
        Self { id, body: Box::pin(body) }
    }

    /// A message that is nothing but its head: `keep` is dropped when the probe's work ends.
    pub fn whole<T: Send + 'static>(id: Option<u64>, keep: T) -> Self {
        Self::new(id, Whole { _keep: keep })
    }

    pub(crate) fn id(&self) -> Option<u64> {
        self.id
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        self.body.as_mut().poll_read(cx)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("id", &self.id).finish_non_exhaustive()
    }
}

// ===== impl LocalMessage =====

impl LocalMessage {
    /// The message of this call, whose rest `body` reads. `None` says that it is none of the exchange's messages: a
    /// layer has changed it.
    pub fn new(id: Option<u64>, body: impl ReadBody + 'static) -> Self {
        Self { id, body: Box::pin(body) }
    }

    /// A message that is nothing but its head: `keep` is dropped when the kit lets go of the response.
    pub fn whole<T: 'static>(id: Option<u64>, keep: T) -> Self {
        Self::new(id, Whole { _keep: keep })
    }

    pub(crate) fn id(&self) -> Option<u64> {
        self.id
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        self.body.as_mut().poll_read(cx)
    }
}

impl fmt::Debug for LocalMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalMessage").field("id", &self.id).finish_non_exhaustive()
    }
}

struct Whole<T> {
    _keep: T,
}

impl<T> ReadBody for Whole<T> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }
}

// ===== impl Http =====

impl Http {
    /// Every request is a `GET` with an empty body: for layers that only look at what is safe, such as a cache.
    #[must_use]
    pub fn get() -> Self {
        Self { get: true }
    }

    fn sent(self, id: u64) -> Bytes {
        if self.get { Bytes::new() } else { Bytes::from(format!("call {id}")) }
    }

    fn answered(id: u64) -> Bytes {
        Bytes::from(format!("answer {id}"))
    }

    fn response(status: StatusCode, id: u64) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Self::answered(id)));
        *response.status_mut() = status;
        response.headers_mut().insert(CALL, HeaderValue::from(id));
        response
    }
}

impl Exchange for Http {
    type Request = Request<Full<Bytes>>;
    type Response = Response<Full<Bytes>>;

    fn request(&self, id: u64) -> Self::Request {
        let method = if self.get { http::Method::GET } else { http::Method::PUT };
        Request::builder()
            .method(method)
            .uri(format!("http://probe.test/calls/{id}"))
            .header(CALL, id)
            .body(Full::new(self.sent(id)))
            .expect("a URI that ends with a number is valid")
    }

    fn answer(&self, id: u64) -> Self::Response {
        Self::response(StatusCode::OK, id)
    }

    fn unavailable(&self, id: u64) -> Self::Response {
        Self::response(StatusCode::SERVICE_UNAVAILABLE, id)
    }
}

impl<B> Accept<Request<B>> for Http
where
    B: Body + Send + 'static,
{
    fn accept(&self, request: Request<B>) -> Message {
        let id = number(request.headers()).filter(|id| request.uri().path() == format!("/calls/{id}"));
        let sent = id.map_or(Bytes::new(), |id| self.sent(id));
        Message::new(id, Compare { body: Box::pin(request.into_body()), expected: sent })
    }
}

impl<B> Read<Response<B>> for Http
where
    B: Body + 'static,
{
    fn read(&self, response: Response<B>) -> LocalMessage {
        let known = matches!(response.status(), StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE);
        let id = number(response.headers()).filter(|_| known);
        let answered = id.map_or(Bytes::new(), Self::answered);
        LocalMessage::new(id, Compare { body: Box::pin(response.into_body()), expected: answered })
    }
}

fn number(headers: &HeaderMap) -> Option<u64> {
    headers.get(CALL)?.to_str().ok()?.parse().ok()
}

/// Reads a body to its end, and keeps it: what it holds on to afterwards is held for as long as the message lives.
struct Compare<B> {
    body: Pin<Box<B>>,
    /// What has still to come.
    expected: Bytes,
}

impl<B> ReadBody for Compare<B>
where
    B: Body,
{
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        loop {
            match ready!(self.body.as_mut().poll_frame(cx)) {
                None if self.expected.is_empty() => return Poll::Ready(Ok(())),
                None => return Poll::Ready(Err(format!("the body ended {} bytes too early", self.expected.len()))),
                Some(Err(_)) => return Poll::Ready(Err("the body ended in an error".to_owned())),
                Some(Ok(frame)) => {
                    let Ok(mut data) = frame.into_data() else {
                        return Poll::Ready(Err("the body has got trailers".to_owned()));
                    };
                    while data.has_remaining() {
                        let chunk = data.chunk();
                        if !self.expected.starts_with(chunk) {
                            return Poll::Ready(Err("the body has other bytes than were sent".to_owned()));
                        }
                        let read = chunk.len();
                        self.expected.advance(read);
                        data.advance(read);
                    }
                }
            }
        }
    }
}

// ===== impl Number =====

impl Exchange for Number {
    type Request = u64;
    type Response = u64;

    fn request(&self, id: u64) -> u64 {
        id
    }

    fn answer(&self, id: u64) -> u64 {
        ANSWER ^ id
    }
}

impl Accept<u64> for Number {
    fn accept(&self, request: u64) -> Message {
        Message::whole((request < CALLS).then_some(request), ())
    }
}

impl Read<u64> for Number {
    fn read(&self, response: u64) -> LocalMessage {
        let id = response ^ ANSWER;
        LocalMessage::whole((id < CALLS).then_some(id), ())
    }
}
