use std::{
    error::Error,
    task::{Context, Poll},
};

use http::{Request, Response, Version, header::UPGRADE};
use http_body::Body;
use tower_service::Service;

use super::{ReqwestBody, ReqwestFuture, body::request_body};
use crate::{
    TransportError,
    body::RequestBody,
    origin::Origin,
    service::{check, simplify},
};

/// A `reqwest::Client` as the end of a client stack: see the [module](super).
///
/// Always ready. Cheap to clone; clones share the client and its pool. A shared reference to it is a service too.
#[derive(Clone, Debug)]
pub struct ReqwestTransport {
    client: ::reqwest::Client,
    redirects: bool,
}

// ===== impl ReqwestTransport =====

impl ReqwestTransport {
    /// Around this client, with whatever it was made with.
    #[must_use]
    pub const fn new(client: ::reqwest::Client) -> Self {
        Self { client, redirects: true }
    }

    /// Says whether the client follows redirects: it does, unless it was made with `.redirect(Policy::none())`, and it cannot
    /// be asked. Default: yes.
    ///
    /// Where it does, what could not be sent may have been the second request of a call, so a POST that could not connect
    /// counts as one on which somebody may have acted, and no retry repeats it. Where it does not, it was not sent.
    #[must_use]
    pub const fn follows_redirects(mut self, follows: bool) -> Self {
        self.redirects = follows;
        self
    }

    /// The client inside.
    #[must_use]
    pub const fn client(&self) -> &::reqwest::Client {
        &self.client
    }

    /// Sends the request to the origin that its URI names, as [`Transport`](crate::Transport) does: the URI must be
    /// absolute, user information and the default port are taken off, and the version chooses no protocol, except that
    /// HTTP/1.0 is kept, and HTTP/3 where the client can.
    fn send<B>(&self, request: Request<B>) -> ReqwestFuture
    where
        B: Body + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut request = request.map(RequestBody::new);
        // Whether it speaks TLS, the client alone knows.
        if let Err(error) = check(&request, true) {
            return ReqwestFuture::failed(error);
        }
        if !matches!(request.version(), Version::HTTP_10 | Version::HTTP_3) {
            *request.version_mut() = Version::HTTP_11;
        }
        simplify(request.uri_mut());
        let origin = Origin::of(request.uri());
        let upgrades = request.headers().contains_key(UPGRADE);
        let redirected = self.redirects && !request.method().is_idempotent();
        let (parts, body) = request.into_parts();
        // reqwest's own conversion wants a body, and would send the length of an empty one with a GET.
        match ::reqwest::Request::try_from(Request::from_parts(parts, ::reqwest::Body::default())) {
            Ok(mut request) => {
                *request.body_mut() = request_body(body);
                let mut client = &self.client;
                ReqwestFuture::new(Service::call(&mut client, request), origin, redirected, upgrades)
            }
            Err(error) => ReqwestFuture::failed(TransportError::reqwest(origin, false, error)),
        }
    }
}

impl From<::reqwest::Client> for ReqwestTransport {
    fn from(client: ::reqwest::Client) -> Self {
        Self::new(client)
    }
}

impl<B> Service<Request<B>> for ReqwestTransport
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<ReqwestBody>;
    type Error = TransportError;
    type Future = ReqwestFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ReqwestFuture {
        self.send(request)
    }
}

/// The same through a shared reference.
impl<B> Service<Request<B>> for &ReqwestTransport
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<ReqwestBody>;
    type Error = TransportError;
    type Future = ReqwestFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ReqwestFuture {
        self.send(request)
    }
}
