use std::{
    borrow::Cow,
    fmt::{self, Display},
    marker::PhantomData,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use donjon_core::Replay;
use donjon_http::{Idempotent, idempotency};
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use serde::Serialize;

use crate::{
    JsonError,
    client::Config,
    error::{Failure, Where},
    query,
    redact::{RedactedHeaders, is_secret, is_secret_name},
    target::{Fault, Target},
    url,
};

/// More than any server takes, and far from where a `HeaderMap` panics.
pub(crate) const MAX_HEADERS: usize = 1000;

/// One call: what to send, and as what to read the answer.
///
/// It is a description that no client belongs to: make it anywhere, then give it to a
/// [`JsonClient`](crate::JsonClient), which is a `tower::Service` of calls, or to layers around one. `T` is usually
/// inferred from what is done with the answer. A setter that is given something wrong remembers it, and the call fails
/// with it before anything is sent.
///
/// # Templates
///
/// The text of a call is a path under the client's base URL, or an absolute URL. `{name}` is a parameter, for
/// [`path`](Self::path); `{{` and `}}` are braces. What may not stand in a URL is percent-encoded, and a fragment is
/// left out. For a text that is a URL already, braces and all, there is [`Call::url`].
///
/// # Example
///
/// ```
/// use donjon_json::Call;
///
/// let call: Call<serde_json::Value> = Call::get("/users/{id}").path("id", "a/b").query_pair("page", 2);
/// assert_eq!(format!("{call:?}"), r#"Call { method: GET, target: "/users/a%2Fb?page=***", headers: {}, body: None }"#);
/// ```
#[must_use = "a call does nothing until a client sends it"]
pub struct Call<T> {
    method: Method,
    target: Target,
    headers: HeaderMap,
    body: Option<Bytes>,
    content_type: Option<HeaderValue>,
    extensions: Extensions,
    pub(crate) max_body: Option<u64>,
    pub(crate) redirects: Option<u32>,
    pub(crate) timeout: Option<Duration>,
    fault: Option<Fault>,
    value: PhantomData<fn() -> T>,
}

// ===== impl Call =====

impl<T> Call<T> {
    /// A call of this method to a path template or an absolute URL template.
    pub fn new(method: Method, template: impl Into<Cow<'static, str>>) -> Self {
        Self::to(method, Target::template(template.into()))
    }

    /// A call of this method to a path or URL as it is: braces are only characters.
    pub fn url(method: Method, url: impl Into<Cow<'static, str>>) -> Self {
        Self::to(method, Target::literal(url.into()))
    }

    /// `GET`.
    pub fn get(template: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::GET, template)
    }

    /// `POST`.
    pub fn post(template: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::POST, template)
    }

    /// `PUT`.
    pub fn put(template: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::PUT, template)
    }

    /// `PATCH`.
    pub fn patch(template: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::PATCH, template)
    }

    /// `DELETE`.
    pub fn delete(template: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::DELETE, template)
    }

    /// `HEAD`. There is never a body: read it as `Reply<()>` for status and headers.
    pub fn head(template: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::HEAD, template)
    }

    /// `OPTIONS`.
    pub fn options(template: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::OPTIONS, template)
    }

    fn to(method: Method, target: Target) -> Self {
        Self {
            method,
            target,
            headers: HeaderMap::new(),
            body: None,
            content_type: None,
            extensions: Extensions::new(),
            max_body: None,
            redirects: None,
            timeout: None,
            fault: None,
            value: PhantomData,
        }
    }

    /// The same call, read as a `U`.
    pub fn returning<U>(self) -> Call<U> {
        Call {
            method: self.method,
            target: self.target,
            headers: self.headers,
            body: self.body,
            content_type: self.content_type,
            extensions: self.extensions,
            max_body: self.max_body,
            redirects: self.redirects,
            timeout: self.timeout,
            fault: self.fault,
            value: PhantomData,
        }
    }

    /// Puts a value in the place of `{name}`, everywhere it stands. All but letters, digits and `-._~` is
    /// percent-encoded, so that a value never leaves its segment; one that would make its segment empty, `.` or `..`
    /// is an error, since no encoding keeps it there. So is a parameter that the template does not have, and one that
    /// it has and that nobody gives.
    pub fn path(mut self, name: &str, value: impl Display) -> Self {
        let result = self.target.set(name, &value);
        self.note(result);
        self
    }

    /// Appends to the query: a struct, a map, or pairs such as `[("page", 2)]`. `None` is left out, and a sequence
    /// repeats its name. Anything deeper is an error.
    ///
    /// ```
    /// use donjon_json::Call;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Search {
    ///     text: String,
    ///     tags: Vec<&'static str>,
    ///     page: Option<u32>,
    /// }
    ///
    /// let search = Search { text: "a & b".into(), tags: vec!["x", "y"], page: None };
    /// let call: Call<Vec<u64>> = Call::get("/items").query(&search);
    /// // Sent to /items?text=a%20%26%20b&tags=x&tags=y
    /// # assert_eq!(format!("{call:?}").matches("=***").count(), 3);
    /// ```
    pub fn query(mut self, query: impl Serialize) -> Self {
        let result = self.target.query().and_then(|writer| query::write(writer, &query));
        self.note(result);
        self
    }

    /// Appends one pair to the query.
    pub fn query_pair(mut self, name: &str, value: impl Display) -> Self {
        let result = self.target.query().and_then(|mut writer| {
            let fault = |_| format!("the query value `{}` cannot be displayed", name.escape_debug()).into();
            writer.pair(&name, &value).map_err(fault)
        });
        self.note(result);
        self
    }

    /// Sets a header, in the place of the client's own of that name.
    pub fn header<V>(mut self, name: impl AsRef<str>, value: V) -> Self
    where
        HeaderValue: TryFrom<V>,
    {
        let result = header(name.as_ref(), value).and_then(|(name, value)| {
            if self.headers.len() >= MAX_HEADERS {
                return Err(format!("it has more than {MAX_HEADERS} headers").into());
            }
            self.headers.insert(name, value);
            Ok(())
        });
        self.note(result);
        self
    }

    /// Sets `Authorization: Bearer`.
    pub fn bearer(self, token: impl Display) -> Self {
        self.header(AUTHORIZATION, format!("Bearer {token}"))
    }

    /// Sets `Authorization: Basic` (RFC 7617). A user with a colon is an error: the rest would be read as the password.
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        if user.contains(':') {
            self.note(Err("the user of the basic authorization has a colon".into()));
            return self;
        }
        self.headers.insert(AUTHORIZATION, url::basic(user.as_bytes(), password.as_bytes()));
        self
    }

    /// Sets `Idempotency-Key`: the service acts once however often it is sent, so a retry may send it again.
    pub fn idempotency_key(self, key: impl Display) -> Self {
        self.header(idempotency::IDEMPOTENCY_KEY, key.to_string())
    }

    /// Says whether it may be sent again when nobody knows if it has arrived; without this its method says so.
    pub fn idempotent(self, idempotent: bool) -> Self {
        self.extension(Idempotent(idempotent))
    }

    /// Leaves a word for the layers below, in the extensions of the request.
    pub fn extension<E: Clone + Send + Sync + 'static>(mut self, value: E) -> Self {
        self.extensions.insert(value);
        self
    }

    /// The body, as JSON.
    pub fn json(mut self, body: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => self.raw_body("application/json", body),
            // The text may quote the value.
            Err(_) => {
                self.note(Err("the body cannot be written as JSON".into()));
                self
            }
        }
    }

    /// The body as it is, of this content type.
    pub fn raw_body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        match HeaderValue::from_maybe_shared(Bytes::from_static(content_type.as_bytes())) {
            Ok(content_type) => self.content_type = Some(content_type),
            Err(_) => self.note(Err("the content type cannot stand in a header".into())),
        }
        self.body = Some(body.into());
        self
    }

    /// The cap of the response body in bytes, in the place of the [client's](crate::JsonClient::max_body).
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = Some(bytes);
        self
    }

    /// Follows at most this many redirects, in the place of the [client's](crate::JsonClient::follow_redirects).
    pub fn follow_redirects(mut self, limit: u32) -> Self {
        self.redirects = Some(limit);
        self
    }

    /// How long the call may take as a whole, from its first wait on: readiness, queues, attempts, sleeps and body. It
    /// is the ambient [`Deadline`](donjon_core::Deadline) of the layers below, and only ever shortens the one around
    /// it. A call that is late is [`Refused`](crate::JsonErrorKind::Refused).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The template, as it was given: of few values, so that it may name a metric.
    #[must_use]
    pub fn template(&self) -> &str {
        self.target.text()
    }

    /// The headers of this call, without the client's.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether it may be sent again when nobody knows if it has arrived: what [`idempotent`](Self::idempotent) said, or
    /// whether it has an `Idempotency-Key`, or what its method says.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        if let Some(&Idempotent(said)) = self.extensions.get() {
            return said;
        }
        let key = self.headers.get(idempotency::IDEMPOTENCY_KEY);
        key.is_some_and(|key| !key.as_bytes().trim_ascii().is_empty())
            || idempotency::is_idempotent_method(&self.method)
    }

    /// The first fault is the one that counts.
    fn note(&mut self, result: Result<(), Fault>) {
        if let Err(fault) = result {
            self.fault.get_or_insert(fault);
        }
    }

    /// The request, under the defaults of a client.
    pub(crate) fn into_request(self, config: &Arc<Config>) -> Result<Request<Bytes>, JsonError> {
        let Self { method, mut target, headers, body, content_type, extensions, fault, .. } = self;
        let is_absolute = target.is_absolute();
        let uri = match fault {
            Some(fault) => Err(fault),
            None => target.resolve(config.base.as_ref()),
        };
        let invalid = |fault: Fault, shown: String| {
            let shown = match &config.base {
                Some(base) if !is_absolute => format!("{}{shown}", base.to_uri().to_string().trim_end_matches('/')),
                _ => shown,
            };
            JsonError::new(Failure::InvalidCall(fault), Some(method.clone()), Where::Text(shown))
        };
        let uri = uri.map_err(|fault| invalid(fault, target.redacted()))?;
        let (uri, authorization) = if is_absolute {
            let shown = crate::RedactedUrl::new(&uri).to_string();
            let checked = url::take_userinfo(uri).and_then(|(uri, auth)| url::check(&uri).map(|()| (uri, auth)));
            checked.map_err(|fault| invalid(fault, shown))?
        } else {
            (uri, None)
        };

        let foreign = is_absolute && config.base.as_ref().is_some_and(|base| !base.is_origin_of(&uri));
        // Room for what a transport adds, so that the map is made once.
        let mut all = HeaderMap::with_capacity(config.headers.len() + headers.len() + 4);
        for (name, value) in &config.headers {
            // The client's secrets are for the client's own host, and so is its name.
            if !(foreign && (is_secret(name, value) || *name == HOST)) {
                all.insert(name.clone(), value.clone());
            }
        }
        if let Some(content_type) = content_type {
            all.insert(CONTENT_TYPE, content_type);
        }
        if let Some(authorization) = authorization {
            all.insert(AUTHORIZATION, authorization);
        }
        for (name, value) in headers {
            // No name repeats, and so each comes with its value.
            if let Some(name) = name {
                all.insert(name, value);
            }
        }

        let mut request = Request::new(body.unwrap_or_default());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = all;
        *request.extensions_mut() = extensions;
        Ok(request)
    }
}

/// A header, or a fault that names it and keeps its value to itself.
pub(crate) fn header<V>(name: &str, value: V) -> Result<(HeaderName, HeaderValue), Fault>
where
    HeaderValue: TryFrom<V>,
{
    let shown = || name.chars().take(64).collect::<String>().escape_debug().to_string();
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{}` is no header name", shown()))?;
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| format!("the value of the header `{}` has a character that no header may have", shown()))?;
    if is_secret_name(&parsed) {
        value.set_sensitive(true);
    }
    Ok((parsed, value))
}

impl<T> From<Uri> for Call<T> {
    /// `GET` of this URL as it is.
    fn from(uri: Uri) -> Self {
        Self::url(Method::GET, uri.to_string())
    }
}

impl<T> Clone for Call<T> {
    fn clone(&self) -> Self {
        Self {
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            content_type: self.content_type.clone(),
            extensions: self.extensions.clone(),
            max_body: self.max_body,
            redirects: self.redirects,
            timeout: self.timeout,
            fault: self.fault.clone(),
            value: PhantomData,
        }
    }
}

/// A copy; a call can always be sent again. Whether it may be is what [`Call::idempotent`] and its method say.
impl<T> Replay for Call<T> {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body.as_ref().map(|body| format!("{} bytes", body.len()));
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("target", &self.target.redacted())
            .field("headers", &RedactedHeaders(&self.headers))
            .field("body", &format_args!("{}", body.as_deref().unwrap_or("None")))
            .finish()
    }
}
