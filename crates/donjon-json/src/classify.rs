use donjon_core::{Classify, Clock, Outcome, Reject, Sent, SystemClock};
use donjon_http::{HttpClassify, error_outcome};

use crate::{DecodeCategory, JsonError, error::Failure};

/// The [`Outcome`] of a typed call, for layers outside of a [`JsonClient`](crate::JsonClient): there a `503` is an
/// error, and no response.
///
/// | Error | Outcome |
/// |---|---|
/// | a [`Rejection`](donjon_core::Rejection) below | its own |
/// | no response | by [`error_outcome`] |
/// | a status | by [`HttpClassify`]: a `404` is a success of the service |
/// | a body that broke off, or JSON that was cut off | [`Transient`](Outcome::Transient), answered |
/// | any of these after a redirect that was followed, or after the head | at least answered: nothing of it counts as not sent |
/// | a body too large, of another type or another shape; a redirect loop; a call that could not be made | [`Permanent`](Outcome::Permanent) |
#[derive(Clone, Copy, Debug)]
pub struct JsonClassify<C = SystemClock> {
    http: HttpClassify<C>,
}

// ===== impl JsonClassify =====

impl JsonClassify {
    /// Dates in `Retry-After` are read by the machine's own clock.
    #[must_use]
    pub const fn new() -> Self {
        Self { http: HttpClassify::new() }
    }
}

impl<C> JsonClassify<C> {
    /// Dates in `Retry-After` are read by this clock.
    #[must_use]
    pub fn with_clock<D>(self, clock: D) -> JsonClassify<D> {
        JsonClassify { http: self.http.with_clock(clock) }
    }
}

impl<C: Clock> JsonClassify<C> {
    /// The outcome of this error.
    #[must_use]
    pub fn error(&self, error: &JsonError) -> Outcome {
        match self.of_last_request(error) {
            // A service has answered before, and may have acted.
            Outcome::Refused { retry_after } | Outcome::Transient { sent: Sent::NotSent, retry_after }
                if error.was_answered() =>
            {
                Outcome::Transient { sent: Sent::Answered, retry_after }
            }
            outcome => outcome,
        }
    }

    fn of_last_request(&self, error: &JsonError) -> Outcome {
        if let Some(rejection) = error.as_rejection() {
            return rejection.outcome();
        }
        let cut_off = Outcome::Transient { sent: Sent::Answered, retry_after: None };
        match error.failure() {
            Failure::Service(error) => error_outcome(error.as_error()),
            Failure::Status => match error.head() {
                Some(head) => self.http.head(head.status(), head.headers()),
                None => Outcome::Permanent,
            },
            Failure::Body(..) => cut_off,
            Failure::Decode(error) if error.category() == DecodeCategory::Truncated => cut_off,
            Failure::Decode(_)
            | Failure::InvalidCall(_)
            | Failure::Redirect(_)
            | Failure::BodyTooLarge(_)
            | Failure::ContentType => Outcome::Permanent,
        }
    }
}

impl Default for JsonClassify {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock, T> Classify<T, JsonError> for JsonClassify<C> {
    fn classify(&self, result: Result<&T, &JsonError>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => self.error(error),
        }
    }
}
