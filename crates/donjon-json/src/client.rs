use std::{
    borrow::Cow,
    fmt::{self, Display},
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use donjon_core::CallError;
use donjon_http::redact;
use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION},
};
use http_body_util::Full;
use tower_service::Service;

use crate::{
    Call, CallBuilder, Decode, HttpService, JsonError,
    call::{MAX_HEADERS, header},
    error::{Failure, Where},
    future::ResponseFuture,
    media::MediaTypes,
    redact::RedactedHeaders,
    target::Fault,
    url::Base,
};

/// How large the body of a response may be, unless said otherwise: 8 MiB.
pub(crate) const MAX_BODY: u64 = 8 * 1024 * 1024;

/// How much of a body an error keeps, unless said otherwise: 64 KiB.
pub(crate) const MAX_ERROR_BODY: u64 = 64 * 1024;

/// Typed JSON calls over an HTTP service.
///
/// Calls go through `&self`: [`get`](Self::get) and its like make a [`CallBuilder`], whose
/// [`send`](CallBuilder::send) is a future that does not borrow the client. The client is itself a `tower::Service` of
/// [`Call`]s, so that layers stack on both sides of it.
///
/// # Example
///
/// As a service, under a retry of typed calls:
///
/// ```
/// use donjon_json::{Call, JsonClassify, JsonClient};
/// use donjon_retry::{RetryLayer, Standard};
/// use tower::{ServiceBuilder, ServiceExt};
/// # use bytes::Bytes;
/// # use http_body_util::Full;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let transport = tower::service_fn(|_: http::Request<Full<Bytes>>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::from("[1,2]"))))
/// # });
/// let api = JsonClient::new(transport).base("https://api.example.com/v1")?.bearer("t0ken")?.max_body(64 * 1024);
/// let retried = ServiceBuilder::new().layer(RetryLayer::new(Standard::new().classify(JsonClassify::new()))).service(api);
///
/// let ids: Vec<u64> = retried.oneshot(Call::get("/users").query([("role", "admin")])).await?;
/// assert_eq!(ids, [1, 2]);
/// # Ok::<(), donjon_json::JsonError>(())
/// # }).unwrap();
/// ```
///
/// `B` is the body of the requests, anything that is `From<Bytes>`: see [`with_body`](Self::with_body).
pub struct JsonClient<S, B = Full<Bytes>> {
    service: S,
    config: Arc<Config>,
    body: PhantomData<fn() -> B>,
}

/// What holds for every call of a client.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) base: Option<Base>,
    pub(crate) headers: HeaderMap,
    pub(crate) max_body: u64,
    pub(crate) max_error_body: u64,
    pub(crate) redirects: u32,
    pub(crate) media: MediaTypes,
}

// ===== impl JsonClient =====

impl<S> JsonClient<S> {
    /// A client over this service, for absolute URLs. Give it a [`base`](Self::base) for paths.
    pub fn new(service: S) -> Self {
        Self::with_body(service)
    }
}

impl<S, B> JsonClient<S, B> {
    /// A client over a service that takes requests with the body `B`, such as the body type of a web framework:
    /// `JsonClient::<_, axum::body::Body>::with_body(router)`.
    pub fn with_body(service: S) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let config = Config {
            base: None,
            headers,
            max_body: MAX_BODY,
            max_error_body: MAX_ERROR_BODY,
            redirects: 0,
            media: MediaTypes::default(),
        };
        Self { service, config: Arc::new(config), body: PhantomData }
    }

    /// The URL under which all paths stand: `https://api.example.com`, or `https://example.com/api/v1`. Its user
    /// information becomes the header `Authorization: Basic`.
    ///
    /// # Errors
    ///
    /// If it is not an absolute `http` or `https` URL with a host, or if it has a query or a fragment. The error says
    /// which.
    pub fn base(mut self, url: impl AsRef<str>) -> Result<Self, JsonError> {
        let url = url.as_ref();
        let (base, authorization) = Base::parse(url).map_err(|fault| {
            let shown = redact::text(url).to_string();
            JsonError::new(Failure::InvalidCall(format!("it is no base URL: {fault}").into()), None, Where::Text(shown))
        })?;
        let config = self.config_mut();
        config.base = Some(base);
        if let Some(authorization) = authorization {
            config.headers.insert(AUTHORIZATION, authorization);
        }
        Ok(self)
    }

    /// A header of every call. A call can set another value, and a secret one (`Authorization`, cookies, keys) is not
    /// sent to another host than the base URL's. `Accept: application/json` is there from the start.
    ///
    /// # Errors
    ///
    /// If no header can have this name or this value. The error names the header, and not the value.
    pub fn default_header<V>(mut self, name: impl AsRef<str>, value: V) -> Result<Self, JsonError>
    where
        HeaderValue: TryFrom<V>,
    {
        let (name, value) = header(name.as_ref(), value).map_err(invalid)?;
        if self.config.headers.len() >= MAX_HEADERS {
            return Err(invalid(format!("the client has more than {MAX_HEADERS} headers").into()));
        }
        self.config_mut().headers.insert(name, value);
        Ok(self)
    }

    /// `Authorization: Bearer` in every call.
    ///
    /// # Errors
    ///
    /// If the token has a character that no header may have.
    pub fn bearer(self, token: impl Display) -> Result<Self, JsonError> {
        self.default_header(AUTHORIZATION, format!("Bearer {token}"))
    }

    /// How large the body of a response may be, in bytes: 8 MiB unless said. A larger one is an error of the kind
    /// [`BodyTooLarge`](crate::JsonErrorKind::BodyTooLarge), at once if its length is known, else at the cap. With 0
    /// only empty bodies pass.
    #[must_use]
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.config_mut().max_body = bytes;
        self
    }

    /// How much of the body of a failed response is read and kept for the error, in bytes: 64 KiB unless said, and at
    /// most [`max_body`](Self::max_body).
    #[must_use]
    pub fn max_error_body(mut self, bytes: u64) -> Self {
        self.config_mut().max_error_body = bytes;
        self
    }

    /// Follows at most this many redirects; 0, which is the default, follows none, and makes a redirect an error of
    /// its status.
    ///
    /// `303` makes the call a `GET` (a `HEAD` stays one), `301` and `302` make a `POST` a `GET`, `307` and `308` send
    /// the same again. To another origin no secret header goes along. A loop, one redirect too many, a `Location`
    /// that leads nowhere, and one from `https` to `http` that would take the body along are errors of the kind
    /// [`Redirect`](crate::JsonErrorKind::Redirect).
    #[must_use]
    pub fn follow_redirects(mut self, limit: u32) -> Self {
        self.config_mut().redirects = limit;
        self
    }

    /// Reads bodies of this content type too, such as `text/json`. `application/json`, whatever ends in `+json`, and a
    /// body without a content type are always read.
    #[must_use]
    pub fn accept_content_type(mut self, media_type: &str) -> Self {
        self.config_mut().media.allow(media_type);
        self
    }

    /// Reads bodies of every content type.
    #[must_use]
    pub fn accept_any_content_type(mut self) -> Self {
        self.config_mut().media.allow_any();
        self
    }

    /// The service below.
    #[must_use]
    pub fn service(&self) -> &S {
        &self.service
    }

    /// The service below.
    #[must_use]
    pub fn into_service(self) -> S {
        self.service
    }

    /// The same client over what `f` makes of the service: one more layer around it, or a box.
    pub fn map_service<T>(self, f: impl FnOnce(S) -> T) -> JsonClient<T, B> {
        JsonClient { service: f(self.service), config: self.config, body: PhantomData }
    }

    /// A call of this method to a path template or an absolute URL template; see [`Call`].
    pub fn request(&self, method: Method, template: impl Into<Cow<'static, str>>) -> CallBuilder<'_, S, B> {
        CallBuilder::new(self, Call::new(method, template))
    }

    /// `GET`; see [`Call`] for templates.
    pub fn get(&self, template: impl Into<Cow<'static, str>>) -> CallBuilder<'_, S, B> {
        self.request(Method::GET, template)
    }

    /// `POST`; see [`Call`] for templates.
    pub fn post(&self, template: impl Into<Cow<'static, str>>) -> CallBuilder<'_, S, B> {
        self.request(Method::POST, template)
    }

    /// `PUT`; see [`Call`] for templates.
    pub fn put(&self, template: impl Into<Cow<'static, str>>) -> CallBuilder<'_, S, B> {
        self.request(Method::PUT, template)
    }

    /// `PATCH`; see [`Call`] for templates.
    pub fn patch(&self, template: impl Into<Cow<'static, str>>) -> CallBuilder<'_, S, B> {
        self.request(Method::PATCH, template)
    }

    /// `DELETE`; see [`Call`] for templates.
    pub fn delete(&self, template: impl Into<Cow<'static, str>>) -> CallBuilder<'_, S, B> {
        self.request(Method::DELETE, template)
    }

    /// `HEAD`; see [`Call::head`].
    pub fn head(&self, template: impl Into<Cow<'static, str>>) -> CallBuilder<'_, S, B> {
        self.request(Method::HEAD, template)
    }

    /// `OPTIONS`; see [`Call`] for templates.
    pub fn options(&self, template: impl Into<Cow<'static, str>>) -> CallBuilder<'_, S, B> {
        self.request(Method::OPTIONS, template)
    }

    /// Sends a call that was made elsewhere. The future has a clone of the service, and does not borrow the client.
    pub fn send<T>(&self, call: Call<T>) -> ResponseFuture<S, B, T>
    where
        S: HttpService<B> + Clone,
        B: From<Bytes>,
        T: Decode,
    {
        self.send_as(call)
    }

    pub(crate) fn send_as<U, T>(&self, call: Call<U>) -> ResponseFuture<S, B, T>
    where
        S: HttpService<B> + Clone,
        B: From<Bytes>,
    {
        ResponseFuture::call_clone(&self.service, call, &self.config)
    }

    fn config_mut(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.config)
    }
}

impl<S, B, T> Service<Call<T>> for JsonClient<S, B>
where
    S: HttpService<B> + Clone,
    B: From<Bytes>,
    T: Decode,
{
    type Response = T;
    type Error = JsonError;
    type Future = ResponseFuture<S, B, T>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), JsonError>> {
        self.service.poll_http_ready(cx).map_err(|error| {
            let base = self.config.base.as_ref().map_or(Where::Nowhere, |base| Where::Url(base.to_uri()));
            JsonError::new(Failure::Service(CallError::new(error)), None, base)
        })
    }

    fn call(&mut self, call: Call<T>) -> Self::Future {
        ResponseFuture::call_readied(&mut self.service, call, &self.config)
    }
}

impl<S: Clone, B> Clone for JsonClient<S, B> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), config: Arc::clone(&self.config), body: PhantomData }
    }
}

impl<S, B> fmt::Debug for JsonClient<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonClient")
            .field("base", &self.config.base.as_ref().map(Base::to_uri))
            .field("headers", &RedactedHeaders(&self.config.headers))
            .field("max_body", &self.config.max_body)
            .field("follow_redirects", &self.config.redirects)
            .finish_non_exhaustive()
    }
}

fn invalid(fault: Fault) -> JsonError {
    JsonError::new(Failure::InvalidCall(fault), None, Where::Nowhere)
}
