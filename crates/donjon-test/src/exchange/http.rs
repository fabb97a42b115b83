use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header::HeaderName};
use http_body::Body;
use http_body_util::Full;

use super::{Accept, Exchange, LocalMessage, Message, ProbeBody, Read, ReadBody};

/// Requests and responses of HTTP: `http::Request<Full<Bytes>>` to `http::Response<Full<Bytes>>`.
///
/// Each call has a URI of its own, a header field with its number, and a small body. The method is `PUT`, which is
/// idempotent and has a body; [`Http::get`] makes it `GET` with an empty one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Http {
    get: bool,
}

/// Requests and responses of HTTP whose bodies stream: several frames and trailers, pending before each of them.
///
/// For layers that wrap bodies, and for what stands under them: its bodies ([`ProbeBody`]) cannot be sent again without a
/// layer that makes them so. Otherwise as [`Http`].
///
/// # Example
///
/// ```
/// use donjon_test::{Streaming, contract};
/// use tower_layer::Identity;
///
/// contract::check_over(Streaming::new(), Identity::new).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Streaming {
    prompt: bool,
}

pub(super) const CALL: HeaderName = HeaderName::from_static("x-probe-call");

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
}

impl Exchange for Http {
    type Request = Request<Full<Bytes>>;
    type Response = Response<Full<Bytes>>;

    fn request(&self, id: u64) -> Self::Request {
        let method = if self.get { Method::GET } else { Method::PUT };
        request(method, id, Full::new(self.sent(id)))
    }

    fn answer(&self, id: u64) -> Self::Response {
        response(StatusCode::OK, id, Full::new(Self::answered(id)))
    }

    fn unavailable(&self, id: u64) -> Self::Response {
        response(StatusCode::SERVICE_UNAVAILABLE, id, Full::new(Self::answered(id)))
    }
}

impl<B> Accept<Request<B>> for Http
where
    B: Body + Send + 'static,
{
    fn accept(&self, request: Request<B>) -> Message {
        let id = called(&request);
        let sent = id.map_or(Bytes::new(), |id| self.sent(id));
        Message::new(id, Compare::new(request.into_body(), sent, None))
    }
}

impl<B> Read<Response<B>> for Http
where
    B: Body + 'static,
{
    fn read(&self, response: Response<B>) -> LocalMessage {
        let id = answered(&response);
        let answered = id.map_or(Bytes::new(), Self::answered);
        LocalMessage::new(id, Compare::new(response.into_body(), answered, None))
    }
}

// ===== impl Streaming =====

impl Streaming {
    /// Bodies that are pending before each frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn body(self, what: &'static str, id: u64) -> ProbeBody {
        ProbeBody::new(what, id, self.prompt)
    }
}

impl Exchange for Streaming {
    type Request = Request<ProbeBody>;
    type Response = Response<ProbeBody>;

    fn request(&self, id: u64) -> Self::Request {
        request(Method::PUT, id, self.body("call ", id))
    }

    fn answer(&self, id: u64) -> Self::Response {
        response(StatusCode::OK, id, self.body("answer ", id))
    }

    fn unavailable(&self, id: u64) -> Self::Response {
        response(StatusCode::SERVICE_UNAVAILABLE, id, self.body("answer ", id))
    }

    fn prompt(&self) -> Self {
        Self { prompt: true }
    }

    fn truncated(&self, id: u64) -> Self::Response {
        response(StatusCode::OK, id, self.body("answer ", id).truncated())
    }
}

impl<B> Accept<Request<B>> for Streaming
where
    B: Body + Send + 'static,
{
    fn accept(&self, request: Request<B>) -> Message {
        let id = called(&request);
        let sent = id.map_or(Bytes::new(), |id| Bytes::from(format!("call {id}")));
        Message::new(id, Compare::new(request.into_body(), sent, id))
    }
}

impl<B> Read<Response<B>> for Streaming
where
    B: Body + 'static,
{
    fn read(&self, response: Response<B>) -> LocalMessage {
        let id = answered(&response);
        let answered = id.map_or(Bytes::new(), |id| Bytes::from(format!("answer {id}")));
        LocalMessage::new(id, Compare::new(response.into_body(), answered, id))
    }
}

fn request<B>(method: Method, id: u64, body: B) -> Request<B> {
    Request::builder()
        .method(method)
        .uri(format!("http://probe.test/calls/{id}"))
        .header(CALL, id)
        .body(body)
        .expect("a URI that ends with a number is valid")
}

fn response<B>(status: StatusCode, id: u64, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CALL, HeaderValue::from(id));
    response
}

/// Which call this is the request of.
fn called<B>(request: &Request<B>) -> Option<u64> {
    let known = matches!(*request.method(), Method::GET | Method::PUT);
    number(request.headers()).filter(|id| known && request.uri().path() == format!("/calls/{id}"))
}

/// Which call this is the response to.
fn answered<B>(response: &Response<B>) -> Option<u64> {
    let known = matches!(response.status(), StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE);
    number(response.headers()).filter(|_| known)
}

fn number(headers: &HeaderMap) -> Option<u64> {
    headers.get(CALL)?.to_str().ok()?.parse().ok()
}

/// Reads a body to its end, and keeps it: what it holds on to afterwards is held for as long as the message lives.
struct Compare<B> {
    body: Pin<Box<B>>,
    /// What has still to come.
    expected: Bytes,
    /// The call of which the trailers have still to say the number.
    trailers: Option<u64>,
}

impl<B> Compare<B> {
    fn new(body: B, expected: Bytes, trailers: Option<u64>) -> Self {
        Self { body: Box::pin(body), expected, trailers }
    }
}

impl<B> ReadBody for Compare<B>
where
    B: Body,
{
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        loop {
            match ready!(self.body.as_mut().poll_frame(cx)) {
                None if self.expected.is_empty() && self.trailers.is_none() => return Poll::Ready(Ok(())),
                None if self.expected.is_empty() => {
                    return Poll::Ready(Err("the body has lost its trailers".to_owned()));
                }
                None => return Poll::Ready(Err(format!("the body ended {} bytes too early", self.expected.len()))),
                Some(Err(_)) => return Poll::Ready(Err("the body ended in an error".to_owned())),
                Some(Ok(frame)) => {
                    let mut data = match frame.into_data() {
                        Ok(data) => data,
                        Err(frame) => {
                            let number = frame.trailers_ref().and_then(number);
                            if number.is_none() || number != self.trailers.take() {
                                return Poll::Ready(Err("the body has other trailers than were sent".to_owned()));
                            }
                            continue;
                        }
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
