use donjon_http::GuardedBody;
use http::{Method, Request, Response, header::UPGRADE};
use http_body::Body;

use crate::{HeldPermit, Mode, Permit};

/// The body of a response that goes through [`ConcurrencyLimitLayer::http`](crate::ConcurrencyLimitLayer::http).
///
/// The permit is given back at the end of the body, at an error of it, or when the body is dropped.
pub type LimitedBody<B> = GuardedBody<B, Permit>;

/// HTTP requests; by default the permit is given back at the end of the response body.
///
/// A request that asks for an upgrade (the field `Upgrade` in HTTP/1.1, the method `CONNECT` in HTTP/2), such as the
/// handshake of a WebSocket, carries a [`HeldPermit`] in its extensions: its response has no body to follow, and what
/// comes of it lives on. Whoever serves the socket keeps the permit for as long:
///
/// ```
/// use donjon_concurrency_limit::{ConcurrencyLimitLayer, HeldPermit};
/// use donjon_core::Rejection;
/// use http::{Request, Response};
/// use http_body_util::Empty;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let limit = ConcurrencyLimitLayer::http(100);
/// let handler = service_fn(|mut request: Request<()>| async move {
///     // With axum: an argument `Extension(permit): Extension<HeldPermit>`.
///     let permit = request.extensions_mut().remove::<HeldPermit>();
///     tokio::spawn(async move {
///         let _permit = permit; // As long as the socket lives.
///         std::future::pending::<()>().await;
///     });
///     Ok::<_, Rejection>(Response::builder().status(101).body(Empty::<bytes::Bytes>::new()).unwrap())
/// });
/// let handshake = Request::get("/chat").header("upgrade", "websocket").body(()).unwrap();
/// drop(limit.layer(handler).oneshot(handshake).await.unwrap());
/// assert_eq!(limit.handle().stats().in_flight, 1);
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Http {
    release_on: ReleaseOn,
}

/// When an HTTP call gives its permit back. Either way it does so when it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReleaseOn {
    /// When the head of the response is there; its body may still be streaming. Right where bodies are endless, such as
    /// server-sent events, and what the limit protects is the work before the head.
    Head,
    /// When the body of the response has ended, failed, or been dropped. The default.
    #[default]
    Body,
}

// ===== impl Http =====

impl Http {
    /// The permit is given back at the end of the response body, unless said otherwise.
    #[must_use]
    pub const fn new() -> Self {
        Self { release_on: ReleaseOn::Body }
    }

    /// When the permit is given back.
    #[must_use]
    pub const fn release_on(mut self, when: ReleaseOn) -> Self {
        self.release_on = when;
        self
    }
}

impl<A, B: Body> Mode<Request<A>, Response<B>> for Http {
    type Response = Response<LimitedBody<B>>;

    #[inline]
    fn admitted(&self, request: &mut Request<A>, hold: impl FnOnce() -> HeldPermit) {
        if request.method() == Method::CONNECT || request.headers().contains_key(UPGRADE) {
            let outer = request.extensions_mut().remove::<HeldPermit>().unwrap_or_default();
            request.extensions_mut().insert(hold().and(outer));
        }
    }

    fn finish(&self, response: Response<B>, permit: Option<Permit>) -> Self::Response {
        response.map(|body| match permit {
            Some(permit) if self.release_on == ReleaseOn::Body => GuardedBody::new(body, permit),
            _ => GuardedBody::unguarded(body),
        })
    }
}
