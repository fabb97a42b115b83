use std::time::Duration;

use donjon_core::Deadline;
use http::{Request, Response};

use crate::{
    AttemptTimeout, DeadlineLayer, Finish, RequestTimeout, TimedBody, TimeoutLayer,
    form::{Terms, Watch, sealed},
};

/// The form for HTTP: what a request says about its time is read, and the time covers the response body.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    _private: (),
}

// ===== impl Http =====

impl Http {
    const fn new() -> Self {
        Self { _private: () }
    }
}

impl<B> sealed::Read<Request<B>> for Http {
    fn deadline(&self, req: &Request<B>, timeout: Option<Duration>) -> Terms {
        let deadline = req.extensions().get::<Deadline>().copied();
        let asked = req.extensions().get::<RequestTimeout>().copied();
        let timeout = match (asked, deadline) {
            (Some(RequestTimeout(asked)), _) => Some(asked),
            (None, Some(_)) => None,
            (None, None) => timeout,
        };
        Terms { timeout, deadline: deadline.unwrap_or(Deadline::never()) }
    }

    fn attempt(&self, req: &Request<B>, timeout: Option<Duration>) -> Option<Duration> {
        req.extensions().get::<AttemptTimeout>().map_or(timeout, |&AttemptTimeout(asked)| Some(asked))
    }
}

impl<B> Finish<Response<B>> for Http {
    type Response = Response<TimedBody<B>>;

    fn finish(&self, res: Response<B>, watch: impl FnOnce() -> Watch) -> Self::Response {
        let watch = watch();
        res.map(|body| TimedBody::new(body, watch))
    }
}

// ===== the constructors =====

impl DeadlineLayer<Http> {
    /// At most `timeout` for each call, its response body included.
    ///
    /// A read of the body after the deadline is an error that carries the refusal, with phase `Body`. A
    /// [`RequestTimeout`] or a [`Deadline`] in the extensions of a request replaces the layer's timeout for it.
    pub fn http(timeout: Duration) -> Self {
        Self::with_form(timeout, Http::new())
    }
}

impl TimeoutLayer<Http> {
    /// At most `timeout` for each call, its response body included. Over a stack that must not follow the body, use
    /// [`TimeoutLayer::new`].
    ///
    /// A read of the body after the timeout is an error that carries the refusal, with phase `Body`. An
    /// [`AttemptTimeout`] in the extensions of a request replaces the layer's timeout for it.
    pub fn http(timeout: Duration) -> Self {
        Self::with_form(timeout, Http::new())
    }
}
