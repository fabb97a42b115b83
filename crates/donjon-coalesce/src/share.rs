use std::sync::Arc;

use donjon_core::{Classify, ClassifyRejection, Outcome, Reject, Rejection};

use crate::cause::Cause;

/// What others than the caller that ran a call may have of its end.
///
/// [`Anything`] is the default; [`Classified`] has a [`Classify`] for failures; `Http` follows the rules of HTTP.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what may be shared of an answer `{V}` or an error `{E}`",
    label = "not a `Share` for these types",
    note = "the ready-made ones need an error type that implements `Reject`; `Http` needs `http::Response`"
)]
pub trait Share<V, E> {
    /// Whether others may have a clone of this answer. Those who may not make a call of their own, which nobody joins.
    fn shares(&self, answer: &V) -> bool;

    /// The outcome of this failure, for those who get it second hand.
    fn outcome(&self, error: &E) -> Outcome;
}

/// Every answer is shared; a failure's outcome is that of [`ClassifyRejection`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Anything;

/// Every answer is shared; a failure's outcome is that of a [`Classify`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Classified<C>(pub C);

// ===== impl Anything =====

impl<V, E: Reject> Share<V, E> for Anything {
    fn shares(&self, _: &V) -> bool {
        true
    }

    fn outcome(&self, error: &E) -> Outcome {
        ClassifyRejection.classify(Err::<&V, &E>(error))
    }
}

// ===== impl Classified =====

impl<V, E, C: Classify<V, E>> Share<V, E> for Classified<C> {
    fn shares(&self, _: &V) -> bool {
        true
    }

    fn outcome(&self, error: &E) -> Outcome {
        self.0.classify(Err(error))
    }
}

/// What those who had joined a call are told that failed. The error itself stays with the caller that drove it.
pub(crate) fn shared_failure<V, E, P>(layer: &'static str, share: &P, error: &E) -> Rejection
where
    E: Reject,
    P: Share<V, E>,
{
    let outcome = share.outcome(error);
    match error.as_rejection() {
        Some(rejection) => Rejection::shared(layer, outcome, Arc::new(rejection.clone())),
        None => Rejection::shared(layer, outcome, Arc::new(Cause::of(error.as_error()))),
    }
}
