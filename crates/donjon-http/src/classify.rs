use donjon_core::{Classify, Clock, Outcome, Reject, Sent, SystemClock};
use http::{HeaderMap, Response, StatusCode, header::RETRY_AFTER};

use crate::retry_after;

mod transport;

pub use self::transport::error_outcome;
pub(crate) use self::transport::find;

/// The [`Outcome`] of an HTTP response, or of the error that came instead of one.
///
/// | Result | Outcome |
/// |---|---|
/// | 429 | [`Throttled`](Outcome::Throttled) |
/// | 408, 425, any 5xx but 501 and 505 | [`Transient`](Outcome::Transient), answered |
/// | 501, 505 | [`Permanent`](Outcome::Permanent) |
/// | any other status | [`Success`](Outcome::Success) |
/// | a [`Rejection`](donjon_core::Rejection) anywhere in the error | its own outcome |
/// | any other error | see [`error_outcome`] |
///
/// The first two carry `Retry-After`, read by [`retry_after::parse`]; the clock is read only if the field is there. A
/// 4xx other than the three is the caller's fault, and so a success of the service. 501 (no such function) and 505 (no
/// such version of HTTP) depend on the request and not on the moment: another attempt gets the same answer.
#[derive(Clone, Copy, Debug)]
pub struct HttpClassify<C = SystemClock> {
    clock: C,
}

// ===== impl HttpClassify =====

impl HttpClassify {
    /// Dates in `Retry-After` are read by the machine's own clock.
    #[must_use]
    pub const fn new() -> Self {
        Self { clock: SystemClock }
    }
}

impl<C> HttpClassify<C> {
    /// Dates in `Retry-After` are read by this clock.
    #[must_use]
    pub fn with_clock<D>(self, clock: D) -> HttpClassify<D> {
        HttpClassify { clock }
    }
}

impl<C: Clock> HttpClassify<C> {
    /// The outcome of a response with this status and these headers.
    #[must_use]
    pub fn head(&self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        match status {
            StatusCode::TOO_MANY_REQUESTS => Outcome::Throttled { retry_after: self.retry_after(headers) },
            StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => Outcome::Permanent,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => self.transient(headers),
            _ if status.is_server_error() => self.transient(headers),
            _ => Outcome::Success,
        }
    }

    fn transient(&self, headers: &HeaderMap) -> Outcome {
        Outcome::Transient { sent: Sent::Answered, retry_after: self.retry_after(headers) }
    }

    fn retry_after(&self, headers: &HeaderMap) -> Option<std::time::Duration> {
        headers.contains_key(RETRY_AFTER).then(|| retry_after::parse(headers, self.clock.now())).flatten()
    }
}

impl Default for HttpClassify {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock, B, E: Reject> Classify<Response<B>, E> for HttpClassify<C> {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        match result {
            Ok(response) => self.head(response.status(), response.headers()),
            Err(error) => match error.as_rejection() {
                Some(rejection) => rejection.outcome(),
                None => error_outcome(error.as_error()),
            },
        }
    }
}
