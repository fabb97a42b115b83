use std::time::Duration;

use tower_layer::Layer;

use super::{Inside, Problem, Render, Respond};

/// A stack of layers whose refusals become responses: see [`respond`].
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct RespondLayer<L, R = Problem> {
    stack: L,
    render: R,
    retry_after: Option<Duration>,
}

/// Puts a stack of layers around a service that cannot fail, and keeps it so: what a layer refuses becomes a response
/// with a status, `Retry-After` in whole seconds rounded up, and a problem document (RFC 9457).
///
/// A layer that refuses for want of room often cannot know when there will be some. Where it does not say, this does
/// (for `Overloaded`, `CircuitOpen` and `NoEndpoint`): one second, unless [`retry_after`](RespondLayer::retry_after) says
/// otherwise. It is said here, at the edge, and to those outside: a retry inside of the stack hears only what a layer knows.
///
/// The service inside, such as a router or handler of axum, has the error `Infallible`; inside the stack the error is
/// [`Rejection`](donjon_core::Rejection); outside it is `Infallible` again, so no error handler is needed. A request of
/// gRPC (a `POST`, by its `content-type`) is refused in gRPC's own way. The refusal of a `HEAD` has the headers of a body and
/// none.
///
/// The body of the responses is [`RespondBody`](crate::RespondBody): that of the stack, or that of a refusal.
///
/// # Example
///
/// ```
/// use std::convert::Infallible;
/// use bytes::Bytes;
/// use donjon_core::{Rejection, RejectionKind};
/// use donjon_http::respond;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let handler = tower::service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))));
/// let refuse = tower::layer::layer_fn(|inner| {
///     tower::service_fn(move |_: Request<()>| {
///         let _ = &inner;
///         async { Err::<Response<Full<Bytes>>, _>(Rejection::new(RejectionKind::RateLimited, "example")) }
///     })
/// });
/// let service = respond(refuse).layer(handler);
/// let response = service.oneshot(Request::new(())).await.unwrap_or_else(|never| match never {});
/// assert_eq!(response.status(), 429);
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// # });
/// ```
pub const fn respond<L>(stack: L) -> RespondLayer<L> {
    RespondLayer { stack, render: Problem, retry_after: Some(Duration::from_secs(1)) }
}

// ===== impl RespondLayer =====

impl<L, R> RespondLayer<L, R> {
    /// Writes refusals in this way in place of problem documents: [`Plain`](super::Plain), a closure from a
    /// [`Rejection`](donjon_core::Rejection) to a response, or a [`Render`] of your own.
    pub fn render<Q: Render>(self, render: Q) -> RespondLayer<L, Q> {
        RespondLayer { stack: self.stack, render, retry_after: self.retry_after }
    }

    /// What callers are told who were refused at the door (`Overloaded`, `CircuitOpen`, `NoEndpoint`) by a layer that does
    /// not say when to come back: after this long, or nothing at all. One second, unless said.
    ///
    /// A rate knows when, so `RateLimited` is left as it is: where it says no time, such a call is refused for good.
    pub const fn retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }
}

impl<S, L, R> Layer<S> for RespondLayer<L, R>
where
    L: Layer<Inside<S>>,
    R: Clone,
{
    type Service = Respond<L::Service, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Respond::new(self.stack.layer(Inside::new(inner)), self.render.clone(), self.retry_after)
    }
}
