use donjon_core::{Classify, ClassifyRejection, Outcome, Replay};

/// Decides which requests may be hedged, and what came of a copy.
///
/// The mechanism (delay, budget, deadline) is the layer's. Neither the request nor the error needs to be `Clone`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no hedging policy for a request `{Req}`, a response `{Res}` and an error `{Err}`",
    label = "not a hedging policy for these types",
    note = "for HTTP use `HedgeLayer::http()`: the request body must implement `Replay` (`Full<Bytes>` does, and `ReplayLayer` makes any body so)",
    note = "for other requests use `HedgeLayer::new(Standard::new())`: the request must implement `Replay`",
    note = "the error type must implement `Reject`: put `.map_err(CallError::from)` at the bottom of the stack"
)]
pub trait Policy<Req, Res, Err> {
    /// The same request once more, if it may be sent twice and can be. Asked before the first copy is sent, and before
    /// each hedge that another one may follow.
    fn replay(&self, req: &Req) -> Option<Req>;

    /// Whether the kept copy can still be sent, asked when a hedge is due. Cheap: it makes no copy.
    fn is_intact(&self, kept: &Req) -> bool {
        let _ = kept;
        true
    }

    /// What came of a copy.
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome;

    /// Marks a request as the hedge of this number, from 1 on; the first copy is not asked. Where a request says which
    /// endpoint it goes to, this is the place to choose another one.
    fn prepare(&self, req: &mut Req, hedge: u32) {
        let _ = (req, hedge);
    }
}

/// The ready-made policy for any request that implements [`Replay`].
///
/// A layer for requests of any type cannot know which of them are idempotent: it takes all for idempotent. Implement
/// [`Policy`] to tell them apart. By default a response is a success, a refusal by a donjon layer is what it says, and any
/// other error is transient ([`ClassifyRejection`]).
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Standard<C = ClassifyRejection> {
    classify: C,
}

// ===== impl Standard =====

impl Standard {
    /// Classifies by [`ClassifyRejection`].
    pub const fn new() -> Self {
        Self { classify: ClassifyRejection }
    }
}

impl<C> Standard<C> {
    /// Another classifier: a closure, or a ready-made one.
    pub fn classify<D>(self, classify: D) -> Standard<D> {
        Standard { classify }
    }
}

impl<C, Req, Res, Err> Policy<Req, Res, Err> for Standard<C>
where
    C: Classify<Res, Err>,
    Req: Replay,
{
    fn replay(&self, req: &Req) -> Option<Req> {
        req.replay()
    }

    fn is_intact(&self, kept: &Req) -> bool {
        kept.is_intact()
    }

    fn classify(&self, result: Result<&Res, &Err>) -> Outcome {
        self.classify.classify(result)
    }
}
