//! The form for HTTP: the strict rule of `donjon-http`, which caches go by too.

use donjon_core::{Classify, Outcome, Reject};
use donjon_http::HttpClassify;
pub use donjon_http::sharing::{HttpKey, HttpRequests, HttpResponses};
use http::Response;

use crate::{CoalesceLayer, Share};

// ===== impl CoalesceLayer =====

impl CoalesceLayer<HttpRequests, HttpResponses> {
    /// Requests of HTTP, by the strict rules of [`HttpRequests`] and [`HttpResponses`]: never across users.
    ///
    /// The body of the responses has to be `Clone`, such as `Full<Bytes>`: a body that streams can be read by one alone.
    pub fn http() -> Self {
        Self::http_with(HttpRequests::new())
    }

    /// The same with more fields in the key, or more that keep a request alone.
    pub fn http_with(requests: HttpRequests) -> Self {
        let share = requests.responses();
        CoalesceLayer::new(requests).share(share)
    }
}

// ===== impl HttpResponses =====

/// The outcome of a failure is that of [`HttpClassify`].
impl<B, E: Reject> Share<Response<B>, E> for HttpResponses {
    fn shares(&self, answer: &Response<B>) -> bool {
        self.allows(answer.headers())
    }

    fn outcome(&self, error: &E) -> Outcome {
        HttpClassify::new().classify(Err::<&Response<B>, &E>(error))
    }
}
