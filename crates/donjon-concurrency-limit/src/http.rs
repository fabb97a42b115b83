use donjon_http::GuardedBody;
use http::{Request, Response};
use http_body::Body;

use crate::{Mode, Permit};

/// The body of a response that goes through [`ConcurrencyLimitLayer::http`](crate::ConcurrencyLimitLayer::http).
///
/// The permit is given back at the end of the body, at an error of it, or when the body is dropped.
pub type LimitedBody<B> = GuardedBody<B, Permit>;

/// HTTP requests; by default the permit is given back at the end of the response body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Http {
    release_on: ReleaseOn,
}

/// When an HTTP call gives its permit back. Either way it does so when it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReleaseOn {
    /// When the head of the response is there; its body may still be streaming. Right where bodies are endless, such as
    /// server-sent events, and what the limit protects is the work before the head.
    Head,
    /// When the body of the response has ended, failed, or been dropped. The default.
    #[default]
    Body,
}

// ===== impl Http =====

impl Http {
    /// The permit is given back at the end of the response body, unless said otherwise.
    #[must_use]
    pub const fn new() -> Self {
        Self { release_on: ReleaseOn::Body }
    }

    /// When the permit is given back.
    #[must_use]
    pub const fn release_on(mut self, when: ReleaseOn) -> Self {
        self.release_on = when;
        self
    }
}

impl<A, B: Body> Mode<Request<A>, Response<B>> for Http {
    type Response = Response<LimitedBody<B>>;

    fn finish(&self, response: Response<B>, permit: Option<Permit>) -> Self::Response {
        response.map(|body| match permit {
            Some(permit) if self.release_on == ReleaseOn::Body => GuardedBody::new(body, permit),
            _ => GuardedBody::unguarded(body),
        })
    }
}
