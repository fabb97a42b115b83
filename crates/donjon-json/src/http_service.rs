use std::task::{Context, Poll};

use donjon_core::BoxError;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

/// What a [`JsonClient`](crate::JsonClient) stands on: any `tower::Service` from `http::Request<B>` to
/// `http::Response<_>`, whose errors can be boxed. It is implemented for all of them, and for nothing else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no HTTP service for requests with the body `{B}`",
    label = "a `JsonClient` needs a `Service<http::Request<{B}>, Response = http::Response<_>>`",
    note = "the error of the service and that of its response body must be `Into<Box<dyn Error + Send + Sync>>`, and the service `Clone`",
    note = "requests have the body `Full<Bytes>` unless `JsonClient::with_body` says otherwise; any body that is `From<Bytes>` can be sent",
    note = "a donjon layer inside of the service asks for an error that implements `Reject`: put `.map_err(CallError::from)` at the bottom of the stack"
)]
pub trait HttpService<B> {
    /// The body of its responses.
    type ResponseBody: Body;
    /// Its errors.
    type Error: Into<BoxError>;
    /// Its futures.
    type Future: Future<Output = Result<Response<Self::ResponseBody>, Self::Error>>;

    /// As of the service.
    ///
    /// # Errors
    ///
    /// As of the service.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    /// As of the service.
    fn call(&mut self, request: Request<B>) -> Self::Future;

    /// Boxes the error of a body.
    #[doc(hidden)]
    fn body_error(error: <Self::ResponseBody as Body>::Error) -> BoxError;
}

impl<S, B, R> HttpService<B> for S
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    type ResponseBody = R;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::poll_ready(self, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Service::call(self, request)
    }

    fn body_error(error: R::Error) -> BoxError {
        error.into()
    }
}
