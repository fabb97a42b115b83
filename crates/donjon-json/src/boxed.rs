use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use donjon_core::{BoxError, CallError};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tower_service::Service;

use crate::{HttpService, JsonClient};

/// A [`JsonClient`] whose stack has no name: for a field of a struct. Made by [`JsonClient::boxed`].
///
/// # Example
///
/// ```
/// use donjon_json::{BoxJsonClient, JsonClient, JsonError};
/// # use bytes::Bytes;
/// # use http_body_util::Full;
///
/// #[derive(Clone)]
/// struct Users {
///     api: BoxJsonClient,
/// }
///
/// impl Users {
///     async fn name(&self, id: u64) -> Result<String, JsonError> {
///         self.api.get("/users/{id}/name").path("id", id).send().await
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let stack = tower::service_fn(|_: http::Request<Full<Bytes>>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::from("\"Ada\""))))
/// # });
/// let users = Users { api: JsonClient::new(stack).base("https://api.example.com")?.boxed() };
/// assert_eq!(users.name(42).await?, "Ada");
/// # Ok::<(), JsonError>(())
/// # }).unwrap();
/// ```
pub type BoxJsonClient<B = Full<Bytes>> = JsonClient<BoxHttpService<B>, B>;

/// An HTTP service of any type, shared by its clones.
///
/// It is always ready: each call readies a clone of the service inside for itself. A call costs two boxes, one for its
/// future and one for the body of its response.
pub struct BoxHttpService<B = Full<Bytes>> {
    inner: Arc<dyn Call<B>>,
}

/// The future of a [`BoxHttpService`].
pub type BoxHttpFuture =
    Pin<Box<dyn Future<Output = Result<Response<UnsyncBoxBody<Bytes, BoxError>>, CallError>> + Send>>;

trait Call<B>: Send + Sync {
    fn call(&self, request: Request<B>) -> BoxHttpFuture;
}

struct Erased<S>(S);

// ===== impl BoxHttpService =====

impl<B> BoxHttpService<B> {
    /// Puts this service behind a pointer.
    pub fn new<S>(service: S) -> Self
    where
        S: HttpService<B> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::ResponseBody: Send + 'static,
        B: Send + 'static,
    {
        Self { inner: Arc::new(Erased(service)) }
    }
}

impl<B> Service<Request<B>> for BoxHttpService<B> {
    type Response = Response<UnsyncBoxBody<Bytes, BoxError>>;
    type Error = CallError;
    type Future = BoxHttpFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.inner.call(request)
    }
}

impl<S, B> Call<B> for Erased<S>
where
    S: HttpService<B> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::ResponseBody: Send + 'static,
    B: Send + 'static,
{
    fn call(&self, request: Request<B>) -> BoxHttpFuture {
        let mut service = self.0.clone();
        Box::pin(async move {
            std::future::poll_fn(|cx| service.poll_http_ready(cx)).await.map_err(CallError::new)?;
            let response = service.call_http(request).await.map_err(CallError::new)?;
            // The service is not needed for the body.
            drop(service);
            Ok(response.map(|body| {
                let body = body.map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
                body.map_err(S::box_body_error).boxed_unsync()
            }))
        })
    }
}

impl<B> Clone for BoxHttpService<B> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<B> fmt::Debug for BoxHttpService<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxHttpService").finish_non_exhaustive()
    }
}

// ===== impl JsonClient =====

impl<S, B> JsonClient<S, B>
where
    S: HttpService<B> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::ResponseBody: Send + 'static,
    B: Send + 'static,
{
    /// The same client without the type of its stack, to be stored in a field. Each call costs two more allocations;
    /// clones and calls share the one stack.
    pub fn boxed(self) -> BoxJsonClient<B> {
        self.map_service(BoxHttpService::new)
    }
}
