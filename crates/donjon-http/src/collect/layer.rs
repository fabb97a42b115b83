use std::task::{Context, Poll};

use bytes::Bytes;
use donjon_core::{BoxError, Fresh, Reject};
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{CollectedBody, DEFAULT_CAP, ResponseFuture};

/// Reads response bodies inside of the call: see the [module](super).
///
/// The error of the stack carries what goes wrong with a body, so it is asked to be [`Reject`]. The body must be
/// `Unpin`, since it is handed on when it is larger than the cap; box one that is not.
///
/// # Example
///
/// ```
/// use bytes::Bytes;
/// use donjon_core::CallError;
/// use donjon_http::CollectLayer;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let service = ServiceBuilder::new()
///     .layer(CollectLayer::new().cap(64 * 1024))
///     .service_fn(async |_: Request<()>| Ok::<_, CallError>(Response::new(Full::new(Bytes::from("hello")))));
/// let response = service.oneshot(Request::new(())).await?;
/// assert!(response.body().is_whole());
/// assert_eq!(response.into_body().into_bytes().expect("it is whole"), "hello");
/// # Ok::<_, CallError>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct CollectLayer {
    /// `None` reads nothing.
    cap: Option<usize>,
}

/// The service of a [`CollectLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Collect<S> {
    inner: S,
    cap: Option<usize>,
}

// ===== impl CollectLayer =====

impl CollectLayer {
    /// Waits for at most [`DEFAULT_CAP`] bytes of each body.
    pub const fn new() -> Self {
        Self { cap: Some(DEFAULT_CAP) }
    }

    /// Waits for at most this many bytes of each body. With 0 only an empty body is waited for.
    pub const fn cap(mut self, bytes: usize) -> Self {
        self.cap = Some(bytes);
        self
    }
}

impl Default for CollectLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl Fresh for CollectLayer {
    /// The same: there is no state.
    fn fresh(&self) -> Self {
        *self
    }

    /// All bodies stream.
    fn bypass(&self) -> Self {
        Self { cap: None }
    }
}

impl<S> Layer<S> for CollectLayer {
    type Service = Collect<S>;

    fn layer(&self, inner: S) -> Collect<S> {
        Collect { inner, cap: self.cap }
    }
}

// ===== impl Collect =====

impl<S, A, B> Service<Request<A>> for Collect<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Reject,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Response = Response<CollectedBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        ResponseFuture::new(self.inner.call(request), self.cap)
    }
}
