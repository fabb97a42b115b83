//! What is said between the kit and the probe.

mod body;
mod http;
mod number;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

pub use self::{
    body::{ProbeBody, Truncated},
    http::{Http, Streaming},
    number::Number,
};

/// What is said between a caller and a [`Probe`](crate::Probe): requests and responses that carry the number of their
/// call, so that the kit can follow a call through any layer.
///
/// [`Http`], [`Streaming`] and [`Number`] are there; implement it, with [`Accept`] and [`Read`], for a protocol of your
/// own.
///
/// # Example
///
/// ```
/// use donjon_test::{Accept, Exchange, LocalMessage, Message, Read, contract};
/// use tower_layer::Identity;
///
/// /// Requests that are a line of text, and answers in capitals.
/// #[derive(Clone, Debug)]
/// struct Shout;
///
/// impl Exchange for Shout {
///     type Request = String;
///     type Response = String;
///
///     fn request(&self, id: u64) -> String {
///         format!("call {id}")
///     }
///     fn answer(&self, id: u64) -> String {
///         format!("CALL {id}")
///     }
/// }
///
/// impl Accept<String> for Shout {
///     fn accept(&self, request: String) -> Message {
///         Message::whole(request.strip_prefix("call ").and_then(|id| id.parse().ok()), request)
///     }
/// }
///
/// impl Read<String> for Shout {
///     fn read(&self, response: String) -> LocalMessage {
///         LocalMessage::whole(response.strip_prefix("CALL ").and_then(|id| id.parse().ok()), response)
///     }
/// }
///
/// contract::check_over(Shout, Identity::new).unwrap();
/// ```
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

    /// The same exchange with messages that are there at once, where some are not; unless said, this one.
    fn prompt(&self) -> Self {
        self.clone()
    }

    /// A response that ends too early, where responses have bodies that can; unless said, as
    /// [`unavailable`](Self::unavailable).
    fn truncated(&self, id: u64) -> Self::Response {
        self.unavailable(id)
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
