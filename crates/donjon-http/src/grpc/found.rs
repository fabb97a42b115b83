use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use donjon_core::{BoxError, Fresh, Reject};
use http::{Request, Response, StatusCode, response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{Code, GRPC_STATUS, GrpcStatus, WatchedBody, watched::Over};
use crate::{
    CollectedBody,
    collect::{DEFAULT_CAP, EMPTY_FRAMES, incomplete},
    respond::is_grpc,
};

/// The bytes before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Looks for the status of a call of gRPC before its response is handed on, so that a retry outside can see it.
///
/// A response whose headers say the status (*trailers-only*) passes at once. Otherwise its body is read, inside of the
/// call, until its first message is whole or its trailers are there, whichever comes first; then whatever is there
/// without waiting. So:
///
/// - a **unary** call that fails after its headers were sent is known as failed, and one whose connection breaks in the
///   middle of the message is an error of the call ([`BodyIncomplete`](donjon_core::RejectionKind::BodyIncomplete));
/// - a **server stream** is handed on with its first message, as it would be read in any case;
/// - a **call whose request goes on** (client streams, and those both ways) passes at once: its server may wait for the
///   client, which may wait for the head of the response.
///
/// No setting says which method is of which sort, and a generated client with all of them can stand on one stack. What
/// remains unseen is a failure after the first message of a stream, which nobody could mend. A server stream whose first
/// message may be long in coming, such as a subscription, says so by [`HeadFirst`] in its request: otherwise its client
/// waits for that message where it would have had the head, and an attempt timeout counts the wait.
///
/// A failure found in trailers is left in the extensions of the response, as a [`GrpcStatus`]; the trailers stay where
/// they were. Trailers without a status are [`Code::Unknown`].
///
/// The body of requests becomes [`WatchedBody`], that of responses [`CollectedBody`], which must be `Unpin`. A call
/// costs one allocation, and a failure found in trailers that of the extensions.
///
/// # Example
///
/// ```
/// use bytes::Bytes;
/// use donjon_core::{CallError, Classify, Outcome};
/// use donjon_http::grpc::{GrpcClassify, StatusLayer, WatchedBody};
/// use http::{HeaderMap, Request, Response};
/// use http_body_util::{BodyExt, Empty};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // Headers first, and then no message but a failure.
/// let server = service_fn(async |_: Request<WatchedBody<Empty<Bytes>>>| {
///     let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "8".parse().unwrap())]);
///     let body = Empty::<Bytes>::new().with_trailers(Box::pin(async { Some(Ok(trailers)) }));
///     Ok::<_, CallError>(Response::builder().header("content-type", "application/grpc").body(body)?)
/// });
/// let response = StatusLayer::new().layer(server).oneshot(Request::new(Empty::new())).await?;
/// let outcome = GrpcClassify::new().classify(Ok::<_, &CallError>(&response));
/// assert_eq!(outcome, Outcome::Throttled { retry_after: None });
/// # Ok::<_, CallError>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct StatusLayer {
    /// `None` reads nothing.
    cap: Option<usize>,
}

/// In the extensions of a request: its response is handed on as soon as its head is there, with nothing of its body read.
///
/// For a stream of events that a client subscribes to before it does what they are about. Put into a request of tonic's,
/// it gets to the stack: `request.extensions_mut().insert(HeadFirst)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadFirst;

/// The service of a [`StatusLayer`].
#[derive(Clone, Copy, Debug)]
pub struct FindStatus<S> {
    inner: S,
    cap: Option<usize>,
}

pin_project! {
    /// The future of [`FindStatus`].
    #[must_use = "futures do nothing unless polled"]
    pub struct FindStatusFuture<F, B> {
        #[pin]
        state: State<F, B>,
        cap: Option<usize>,
        request: Over,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Head { #[pin] future: F },
        Body { parts: Option<response::Parts>, body: CollectedBody<B>, message: FirstMessage },
        Done,
    }
}

/// How much of the first message is there.
#[derive(Debug, Default)]
struct FirstMessage {
    prefix: [u8; PREFIX],
    read: usize,
}

// ===== impl StatusLayer =====

impl StatusLayer {
    /// Waits for at most 1 MiB of a first message; what is larger is handed on as it comes.
    pub const fn new() -> Self {
        Self { cap: Some(DEFAULT_CAP) }
    }

    /// Waits for at most this many bytes of a first message.
    pub const fn cap(mut self, bytes: usize) -> Self {
        self.cap = Some(bytes);
        self
    }
}

impl Default for StatusLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl Fresh for StatusLayer {
    /// The same: there is no state.
    fn fresh(&self) -> Self {
        *self
    }

    /// All bodies pass.
    fn bypass(&self) -> Self {
        Self { cap: None }
    }
}

impl<S> Layer<S> for StatusLayer {
    type Service = FindStatus<S>;

    fn layer(&self, inner: S) -> FindStatus<S> {
        FindStatus { inner, cap: self.cap }
    }
}

// ===== impl FindStatus =====

impl<S, A, B> Service<Request<A>> for FindStatus<S>
where
    S: Service<Request<WatchedBody<A>>, Response = Response<B>>,
    S::Error: Reject,
    A: Body,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Response = Response<CollectedBody<B>>;
    type Error = S::Error;
    type Future = FindStatusFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let cap = self.cap.filter(|_| parts.extensions.get::<HeadFirst>().is_none());
        let (body, over) = WatchedBody::new(body);
        let future = self.inner.call(Request::from_parts(parts, body));
        FindStatusFuture { state: State::Head { future }, cap, request: over }
    }
}

// ===== impl FindStatusFuture =====

impl<F, B, E> Future for FindStatusFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    E: Reject,
{
    type Output = Result<Response<CollectedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let result = match this.state.as_mut().project() {
                StateProj::Head { future } => match ready!(future.poll(cx)) {
                    Ok(response) => {
                        let reads = this.cap.is_some() && says_later(&response) && this.request.is_over();
                        let (parts, body) = response.into_parts();
                        let body = CollectedBody::streaming(body);
                        if reads {
                            let message = FirstMessage::default();
                            this.state.set(State::Body { parts: Some(parts), body, message });
                            continue;
                        }
                        Ok(Response::from_parts(parts, body))
                    }
                    Err(error) => Err(error),
                },
                StateProj::Body { parts, body, message } => {
                    let read = ready!(poll_message(body, message, this.cap.unwrap_or(0), cx));
                    let body = std::mem::take(body);
                    let mut parts = parts.take().expect("the parts are there until the body is read");
                    match read {
                        Ok(()) => {
                            if let Some(status) = failure(&body) {
                                parts.extensions.insert(status);
                            }
                            Ok(Response::from_parts(parts, body))
                        }
                        Err(error) => Err(E::from_rejection(incomplete("grpc-status", error.into()))),
                    }
                }
                StateProj::Done => panic!("polled after it has completed"),
            };
            // What the call held goes now, though the finished future may stay alive.
            this.state.set(State::Done);
            return Poll::Ready(result);
        }
    }
}

impl<F, B> fmt::Debug for FindStatusFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FindStatusFuture").field("cap", &self.cap).finish_non_exhaustive()
    }
}

/// Whether the status of this response is yet to come.
fn says_later<B>(response: &Response<B>) -> bool {
    let headers = response.headers();
    response.status() == StatusCode::OK && is_grpc(headers) && !headers.contains_key(GRPC_STATUS)
}

/// The failure that a body says that has ended.
fn failure<B>(body: &CollectedBody<B>) -> Option<GrpcStatus> {
    if !body.is_whole() {
        return None;
    }
    let said = body.trailers.as_ref().and_then(|trailers| GrpcStatus::read(trailers));
    let status = said.unwrap_or(GrpcStatus::new(Code::Unknown));
    (status.code != Code::Ok).then_some(status)
}

/// Reads until the first message is whole or the body has ended, and then what is there without waiting.
fn poll_message<B: Body<Data = Bytes> + Unpin>(
    body: &mut CollectedBody<B>,
    message: &mut FirstMessage,
    cap: usize,
    cx: &mut Context<'_>,
) -> Poll<Result<(), B::Error>> {
    while let Some(rest) = &mut body.rest {
        if !rest.is_end_stream() {
            match Pin::new(&mut *rest).poll_frame(cx) {
                Poll::Pending if message.is_whole() => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(chunk) => {
                        message.take(&chunk);
                        body.read.push(chunk);
                        if message.is_exceeded() || body.read.bytes() > cap || body.read.empty() > EMPTY_FRAMES {
                            return Poll::Ready(Ok(()));
                        }
                        continue;
                    }
                    // Trailers end a body.
                    Err(frame) => body.trailers = frame.into_trailers().ok().map(Box::new),
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => {}
            }
        }
        body.rest = None;
    }
    Poll::Ready(Ok(()))
}

// ===== impl FirstMessage =====

impl FirstMessage {
    fn take(&mut self, chunk: &[u8]) {
        if let Some(missing) = self.prefix.get_mut(self.read..) {
            let now = missing.len().min(chunk.len());
            missing[..now].copy_from_slice(&chunk[..now]);
        }
        self.read = self.read.saturating_add(chunk.len());
    }

    /// How long it is, with its prefix, once the prefix is there.
    fn length(&self) -> Option<usize> {
        let [_, length @ ..] = self.prefix;
        (self.read >= PREFIX).then(|| PREFIX.saturating_add(u32::from_be_bytes(length) as usize))
    }

    fn is_whole(&self) -> bool {
        self.length().is_some_and(|length| self.read >= length)
    }

    /// Whether there is a second one.
    fn is_exceeded(&self) -> bool {
        self.length().is_some_and(|length| self.read > length)
    }
}
