use std::{
    error::Error,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderValue, Method, Request, Response, Uri, Version,
    header::{CONTENT_LENGTH, UPGRADE},
};
use http_body::Body;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use tower_service::Service;

use crate::{
    TransportBody, TransportBuilder, TransportError, TransportErrorKind,
    body::RequestBody,
    connector::Connector,
    future::ResponseFuture,
    limit::Limit,
    origin::{Origin, Split},
};

#[cfg(feature = "tls")]
pub(crate) type Inner = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "tls"))]
pub(crate) type Inner = HttpConnector;

/// A pooled HTTP client: the end of a client stack.
///
/// Always ready. Cheap to clone; clones share the pool and the bound on connections.
#[derive(Clone)]
pub struct Transport {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client<Connector<Inner>, RequestBody>,
    limit: Arc<Limit>,
}

/// A transport with the defaults: HTTP/1.1 and HTTP/2, TLS with the webpki roots, at most 100 connections per origin,
/// 5 s to connect, idle connections kept for 30 s.
#[must_use]
pub fn transport() -> Transport {
    Transport::builder().build()
}

// ===== impl Transport =====

impl Transport {
    /// Settings, to begin with the defaults of [`transport`].
    pub fn builder() -> TransportBuilder {
        TransportBuilder::new()
    }

    pub(crate) fn new(client: Client<Connector<Inner>, RequestBody>, limit: Arc<Limit>) -> Self {
        Self { shared: Arc::new(Shared { client, limit }) }
    }

    fn send<B>(&self, request: Request<B>) -> ResponseFuture
    where
        B: Body + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut request = request.map(RequestBody::new);
        if let Err(error) = check(&request, cfg!(feature = "tls")) {
            return ResponseFuture::failed(error);
        }
        if request.version() != Version::HTTP_10 {
            *request.version_mut() = Version::HTTP_11;
        }
        simplify(request.uri_mut());
        let origin = Origin::of(request.uri());
        let upgrades = request.headers().contains_key(UPGRADE);
        ResponseFuture::new(self.shared.client.request(request), origin, upgrades)
    }

    /// How many connections are open or being opened now, over all origins, idle ones included.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.limit.open()
    }
}

impl<B> Service<Request<B>> for Transport
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<TransportBody>;
    type Error = TransportError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    /// Sends the request to the origin that its URI names. The URI must be absolute; user information and the default
    /// port are taken off. The version of the request does not choose the protocol (the connection does), except that
    /// HTTP/1.0 is kept.
    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        self.send(request)
    }
}

/// The same through a shared reference.
impl<B> Service<Request<B>> for &Transport
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<TransportBody>;
    type Error = TransportError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        self.send(request)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("connections_per_host", &self.shared.limit.per_origin())
            .field("open_connections", &self.open_connections())
            .finish_non_exhaustive()
    }
}

/// Takes user information and the default port off.
pub(crate) fn simplify(uri: &mut Uri) {
    if let Some(authority) = Origin::simplified(uri) {
        let mut parts = std::mem::take(uri).into_parts();
        parts.authority = Some(authority);
        *uri = Uri::from_parts(parts).expect("the parts of a URI with a simpler authority");
    }
}

/// Whether this can be sent at all, by a client that speaks TLS or does not.
pub(crate) fn check<B: Body>(request: &Request<B>, tls: bool) -> Result<(), TransportError> {
    let uri = request.uri();
    let invalid = |message| Err(TransportError::invalid(TransportErrorKind::InvalidUrl, Origin::of(uri), message));
    if request.method() == Method::CONNECT {
        return invalid("CONNECT opens a tunnel, which this transport does not do");
    }
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") if tls => {}
        Some("https") => return invalid("https needs the feature `tls` of donjon-transport"),
        Some(_) => return invalid("the scheme is neither http nor https"),
        None => return invalid("it is not absolute: `http://` or `https://` and a host are missing"),
    }
    let Some(split) = uri.authority().map(Split::of).filter(|split| !split.host.is_empty()) else {
        return invalid("it has no host");
    };
    // The parser takes any text for a port, and the connector the default one instead.
    if split.port.is_some_and(|port| !port.is_empty()) && split.port_number().is_none() {
        return invalid("its port is no port number");
    }
    // hyper would believe the header, and wait for an answer to what is never complete.
    let length = request.body().size_hint().exact();
    let contradicts = |said: &HeaderValue| {
        let said = said.to_str().ok().and_then(|said| said.parse().ok());
        length.is_some_and(|length| said != Some(length))
    };
    if request.headers().get_all(CONTENT_LENGTH).iter().any(contradicts) {
        let (kind, message) = (TransportErrorKind::InvalidRequest, "its content-length is not that of its body");
        return Err(TransportError::invalid(kind, Origin::of(uri), message));
    }
    Ok(())
}
