use donjon_core::{Classify, Outcome, Reject, Sent};
use http::{Response, StatusCode};

use super::{Code, GrpcStatus, Pushback};
use crate::{HttpClassify, error_outcome};

/// The [`Outcome`] of a call of gRPC, from its status or from the error that came instead of a response.
///
/// | Status | Outcome |
/// |---|---|
/// | `OK`; what is the caller's own affair: `INVALID_ARGUMENT`, `NOT_FOUND`, `ALREADY_EXISTS`, `PERMISSION_DENIED`, `FAILED_PRECONDITION`, `ABORTED`, `OUT_OF_RANGE`, `UNAUTHENTICATED` | [`Success`](Outcome::Success) |
/// | `UNAVAILABLE`, `DEADLINE_EXCEEDED` | [`Transient`](Outcome::Transient), answered |
/// | `RESOURCE_EXHAUSTED` | [`Throttled`](Outcome::Throttled) |
/// | `CANCELLED` | [`Cancelled`](Outcome::Cancelled) |
/// | `UNKNOWN`, `UNIMPLEMENTED`, `INTERNAL`, `DATA_LOSS` | [`Permanent`](Outcome::Permanent) |
/// | none, and an HTTP status other than 200 (from a proxy) | 429, 502, 503, 504 as [`HttpClassify`] has them; 401 and 403 success; else permanent |
/// | none, and 200 | success, as far as it is known |
/// | an error | as [`HttpClassify`] has it |
///
/// `grpc-retry-pushback-ms` is the `retry_after` of the outcome; a pushback that says not to call again is one of
/// [`Duration::MAX`](std::time::Duration::MAX).
///
/// The status is read from what [`StatusLayer`](super::StatusLayer) has left, or else from the headers.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcClassify;

// ===== impl GrpcClassify =====

impl GrpcClassify {
    /// The classifier; there is nothing to set.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// The outcome that this status is.
    #[must_use]
    pub fn status(&self, status: GrpcStatus) -> Outcome {
        let retry_after = status.pushback.map(Pushback::as_wait);
        match status.code {
            Code::Ok
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unauthenticated => Outcome::Success,
            Code::Unavailable | Code::DeadlineExceeded => Outcome::Transient { sent: Sent::Answered, retry_after },
            Code::ResourceExhausted => Outcome::Throttled { retry_after },
            Code::Cancelled => Outcome::Cancelled,
            Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => Outcome::Permanent,
        }
    }
}

impl<B, E: Reject> Classify<Response<B>, E> for GrpcClassify {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                return error.as_rejection().map_or_else(|| error_outcome(error.as_error()), |it| it.outcome());
            }
        };
        let found = response.extensions().get::<GrpcStatus>().copied();
        match found.or_else(|| GrpcStatus::read(response.headers())) {
            Some(status) => self.status(status),
            None => match response.status() {
                StatusCode::OK | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Success,
                StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT => HttpClassify::new().head(response.status(), response.headers()),
                _ => Outcome::Permanent,
            },
        }
    }
}
