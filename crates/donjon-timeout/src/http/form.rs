use std::time::Duration;

use donjon_core::Deadline;
use donjon_http::{deadline_header, respond::is_grpc};
use http::{Request, Response};

use crate::{
    AttemptTimeout, DeadlineLayer, Finish, RequestTimeout, TimedBody, TimeoutLayer,
    form::{Terms, Watch, sealed},
};

/// The form for HTTP: what a request says about its time is read, and the time covers the response body.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    /// Whether the fields of a request say how long it may take.
    headers: bool,
}

// ===== impl Http =====

impl<B> sealed::Read<Request<B>> for Http {
    fn deadline(&self, req: &Request<B>, timeout: Option<Duration>) -> Terms {
        let deadline = req.extensions().get::<Deadline>().copied();
        let asked = req.extensions().get::<RequestTimeout>().copied();
        let mut timeout = match (asked, deadline) {
            (Some(RequestTimeout(asked)), _) => Some(asked),
            (None, Some(_)) => None,
            (None, None) => timeout,
        };
        if self.headers
            && let Some(incoming) = deadline_header::read_valid(req.headers())
        {
            timeout = Some(timeout.map_or(incoming, |timeout| timeout.min(incoming)));
        }
        Terms { timeout, deadline: deadline.unwrap_or(Deadline::never()) }
    }

    fn attempt(&self, req: &Request<B>, timeout: Option<Duration>) -> Option<Duration> {
        req.extensions().get::<AttemptTimeout>().map_or(timeout, |&AttemptTimeout(asked)| Some(asked))
    }
}

impl<B> Finish<Response<B>> for Http {
    type Response = Response<TimedBody<B>>;

    fn finish(&self, res: Response<B>, watch: impl FnOnce() -> Watch) -> Self::Response {
        let (watch, grpc) = (watch(), is_grpc(res.headers()));
        res.map(|body| TimedBody::new(body, watch, grpc))
    }
}

// ===== impl DeadlineLayer, TimeoutLayer =====

impl DeadlineLayer<Http> {
    /// At most `timeout` for each call, its response body included.
    ///
    /// A read of the body after the deadline is an error that carries the refusal, with phase `Body`; a response of gRPC
    /// ends with the trailers of DEADLINE_EXCEEDED instead.
    ///
    /// What the request itself says:
    ///
    /// - A [`RequestTimeout`] or a [`Deadline`] in its extensions replaces the layer's timeout, and may be longer.
    /// - The fields `grpc-timeout` and `x-request-timeout-ms`, with which a client says how long it still waits,
    ///   shorten the time and never lengthen it; what is not a timeout is ignored. [`ignore_headers`] switches that
    ///   off.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use bytes::Bytes;
    /// use donjon_core::{CallError, Deadline};
    /// use donjon_timeout::DeadlineLayer;
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let handler = service_fn(|_: Request<()>| async {
    ///     let left = Deadline::current().remaining().expect("there is one");
    ///     Ok::<_, CallError>(Response::new(Full::new(Bytes::from(format!("{left:?}")))))
    /// });
    /// // At most 10 s, and less if the client says that it waits for less.
    /// let server = DeadlineLayer::http(Duration::from_secs(10)).layer(handler);
    ///
    /// let request = Request::get("/").header("x-request-timeout-ms", "250").body(()).unwrap();
    /// let response = server.oneshot(request).await.unwrap();
    /// let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    /// assert_eq!(body, "250ms");
    /// # });
    /// ```
    ///
    /// [`ignore_headers`]: Self::ignore_headers
    pub fn http(timeout: Duration) -> Self {
        Self::with_form(timeout, Http { headers: true })
    }

    /// Does not read the fields of requests: for a client stack over which requests of others are passed on, or a
    /// server whose clients have no say.
    pub fn ignore_headers(self) -> Self {
        self.map_form(|_| Http { headers: false })
    }
}

impl TimeoutLayer<Http> {
    /// At most `timeout` for each call, its response body included. Over a stack that must not follow the body, use
    /// [`TimeoutLayer::new`].
    ///
    /// A read of the body after the timeout is an error that carries the refusal, with phase `Body`. An
    /// [`AttemptTimeout`] in the extensions of a request replaces the layer's timeout for it. Fields are not read: they
    /// speak of the whole request.
    pub fn http(timeout: Duration) -> Self {
        Self::with_form(timeout, Http { headers: false })
    }
}
