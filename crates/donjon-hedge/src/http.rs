use donjon_core::{Classify, Outcome, Replay};
use donjon_http::{HttpClassify, idempotency};
use http::{HeaderName, HeaderValue, Request, Response};

use crate::{HedgeLayer, Policy};

/// The policy of [`HedgeLayer::http`]: hedges what is idempotent ([`idempotency::is_idempotent`]) and has a body that
/// can be sent again ([`Replay`]); classifies by [`HttpClassify`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Http<C = HttpClassify> {
    classify: C,
    hedge_header: Option<HeaderName>,
}

// ===== impl HedgeLayer =====

impl HedgeLayer<Http> {
    /// For HTTP clients: the policy [`Http`], the learned delay, and the share of a budget of its own.
    ///
    /// The request's body must implement [`Replay`]; the response's body may be any. A copy has won when the head of its
    /// response is there and says a success.
    pub fn http() -> Self {
        Self::new(Http { classify: HttpClassify::new(), hedge_header: None })
    }
}

impl<C> HedgeLayer<Http<C>> {
    /// Another classifier of responses and errors. Default: [`HttpClassify`].
    pub fn classify<D>(self, classify: D) -> HedgeLayer<Http<D>> {
        self.map_policy(|http| Http { classify, hedge_header: http.hedge_header })
    }

    /// Puts the number of the hedge into this request field of each hedge, so that a server can tell them. Default:
    /// nowhere.
    pub fn hedge_header(self, name: HeaderName) -> Self {
        self.map_policy(|http| Http { hedge_header: Some(name), ..http })
    }
}

// ===== impl Http =====

impl<C, A, B, E> Policy<Request<A>, Response<B>, E> for Http<C>
where
    C: Classify<Response<B>, E>,
    A: Replay,
{
    fn replay(&self, req: &Request<A>) -> Option<Request<A>> {
        if idempotency::is_idempotent(req) { req.replay() } else { None }
    }

    fn is_intact(&self, kept: &Request<A>) -> bool {
        kept.is_intact()
    }

    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        self.classify.classify(result)
    }

    fn prepare(&self, req: &mut Request<A>, hedge: u32) {
        if let Some(name) = &self.hedge_header {
            req.headers_mut().insert(name.clone(), HeaderValue::from(hedge));
        }
    }
}
