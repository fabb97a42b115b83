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

    #[doc(hidden)]
    fn poll_http_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    #[doc(hidden)]
    fn call_http(&mut self, request: Request<B>) -> Self::Future;

    #[doc(hidden)]
    fn box_body_error(error: <Self::ResponseBody as Body>::Error) -> BoxError;
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

    fn poll_http_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_ready(cx)
    }

    fn call_http(&mut self, request: Request<B>) -> Self::Future {
        self.call(request)
    }

    fn box_body_error(error: R::Error) -> BoxError {
        error.into()
    }
}
