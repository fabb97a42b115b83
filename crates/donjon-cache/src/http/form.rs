use std::time::Duration;

use bytes::Bytes;
use donjon_core::{Classify, Outcome, Reject};
use donjon_http::{
    CollectedBody, HttpClassify,
    collect::{announced, is_bounded},
    sharing::HttpResponses,
};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use super::{CacheBody, CachedResponse, Capture, DEFAULT_BODY_CAP, uri_tag};
use crate::{Form, Limits, Verdict};

/// The [`Form`] of answers of HTTP: what is stored, and how bodies are captured. See the [module](super).
#[derive(Clone, Debug)]
pub struct Http {
    responses: HttpResponses,
    classify: HttpClassify,
    cap: usize,
}

// ===== impl Http =====

impl Http {
    pub(super) fn new(responses: HttpResponses) -> Self {
        Self { responses, classify: HttpClassify::new(), cap: DEFAULT_BODY_CAP }
    }

    pub(super) fn cap(mut self, bytes: usize) -> Self {
        self.cap = bytes;
        self
    }

    fn verdict(status: StatusCode) -> Option<Verdict> {
        match status {
            StatusCode::OK => Some(Verdict::Keep),
            StatusCode::NOT_FOUND | StatusCode::GONE => Some(Verdict::Negative),
            _ => None,
        }
    }
}

impl<A, B, E> Form<Request<A>, Response<B>, E> for Http
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Send + 'static,
    E: Reject,
{
    type Value = CachedResponse;
    type Own = Response<CacheBody<B>>;
    type Response = Response<CacheBody<B>>;
    type Capture = Capture<B>;

    fn judge(&self, result: Result<&Response<B>, &E>) -> Verdict {
        let Ok(response) = result else { return Verdict::Failure };
        Self::verdict(response.status()).unwrap_or_else(|| {
            match self.classify.head(response.status(), response.headers()) {
                Outcome::Transient { .. } | Outcome::Throttled { .. } | Outcome::Refused { .. } => Verdict::Failure,
                Outcome::Success | Outcome::Permanent | Outcome::Cancelled => Verdict::Pass,
            }
        })
    }

    fn capture(&self, response: Response<B>) -> Capture<B> {
        let headers = response.headers();
        // What has no body ends whatever it announces: the answer to a `HEAD` does.
        let ends = response.body().is_end_stream() || is_bounded(&response, self.cap);
        let cap = (ends && self.responses.allows(headers)).then_some(self.cap);
        let keeps = Self::verdict(response.status()).is_some();
        Capture::new(response, cap, keeps)
    }

    fn pass(&self, response: Response<B>) -> Response<CacheBody<B>> {
        response.map(|body| CacheBody::streams(CollectedBody::streaming(body)))
    }

    fn own(&self, own: Response<CacheBody<B>>) -> Response<CacheBody<B>> {
        own
    }

    fn answer(&self, value: CachedResponse, age: Option<Duration>) -> Response<CacheBody<B>> {
        value.to_response(age)
    }

    fn outcome(&self, error: &E) -> Outcome {
        self.classify.classify(Err::<&Response<B>, &E>(error))
    }

    fn limits(&self, value: &CachedResponse) -> Limits {
        // A body of another length than was announced is none to trust. That of a `HEAD` is empty.
        let length = announced(value.headers()).filter(|_| !value.body().is_empty());
        if length.is_some_and(|length| length != value.body().len() as u64) {
            return Limits::none().fresh_for(Duration::ZERO);
        }
        value.limits()
    }

    fn changes(&self, request: &Request<A>) -> Option<String> {
        let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
        (!safe).then(|| uri_tag(request.uri()))
    }
}
