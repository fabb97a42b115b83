use donjon_core::{Quota, Rejection};
use donjon_http::rate_limit;
use http::Response;

use crate::{Mode, Note, Standing};

/// HTTP responses say how the limit stands, in the fields `RateLimit` and `RateLimit-Policy`; so do refusals that
/// become responses.
///
/// The policy is the burst and the time in which it comes back from nothing, rounded up to whole seconds: whoever keeps
/// to it is not refused. `RateLimit` has what is left, and the seconds until all of it is there again.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    policy: &'static str,
}

/// What a call keeps for the fields of its response. The note of [`Http`].
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    quota: Option<Quota>,
}

// ===== impl Http =====

impl Http {
    /// The policy is called `default`.
    #[must_use]
    pub const fn new() -> Self {
        Self { policy: "default" }
    }

    /// What the policy is called, where a response tells of several: `default`, unless said. A character that a string
    /// of a field may not have (beyond printable ASCII) is left out.
    #[must_use]
    pub const fn policy(mut self, name: &'static str) -> Self {
        self.policy = name;
        self
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Mode for Http {
    type Note = Fields;

    fn note(&self, standing: Option<Standing>) -> Fields {
        let quota = standing.map(|standing| {
            Quota::new(self.policy, standing.burst, standing.window).left(standing.remaining, standing.reset)
        });
        Fields { quota }
    }
}

// ===== impl Fields =====

impl<B> Note<Response<B>> for Fields {
    fn answered(self, response: &mut Response<B>) {
        if let Some(quota) = &self.quota {
            rate_limit::append(response.headers_mut(), quota);
        }
    }

    fn refused(self, rejection: Rejection) -> Rejection {
        match self.quota {
            Some(quota) => rejection.with_quota(quota),
            None => rejection,
        }
    }
}
