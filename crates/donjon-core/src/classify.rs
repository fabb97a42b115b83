use crate::{Outcome, Reject, Sent};

/// Makes the [`Outcome`] of a call from its response or its error.
///
/// Any closure `Fn(Result<&Res, &Err>) -> Outcome` is one; [`ClassifyRejection`] is the default where nothing is known
/// of the protocol, and `donjon-http` has the one for HTTP.
///
/// # Example
///
/// ```
/// use donjon_core::{Classify, Outcome, Sent};
///
/// let classify = |result: Result<&u64, &std::io::Error>| match result {
///     Ok(_) => Outcome::Success,
///     Err(_) => Outcome::Transient { sent: Sent::Unknown, retry_after: None },
/// };
/// assert_eq!(classify.classify(Ok(&1)), Outcome::Success);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot classify a response `{Res}` or an error `{Err}`",
    label = "not a classifier of these types",
    note = "a classifier is a closure `Fn(Result<&Res, &Err>) -> Outcome` with its argument type written out, or a ready-made one such as `HttpClassify` for HTTP responses",
    note = "the ready-made classifiers need an error type that implements `Reject`"
)]
pub trait Classify<Res, Err> {
    /// The outcome of this result.
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome;
}

impl<F, Res, Err> Classify<Res, Err> for F
where
    F: Fn(Result<&Res, &Err>) -> Outcome,
{
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome {
        self(result)
    }
}

/// Classifies by what is known of any stack: a response is a success, a [`Rejection`](crate::Rejection) says its own
/// outcome, and any other error is transient and may have been sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassifyRejection;

impl<Res, Err: Reject> Classify<Res, Err> for ClassifyRejection {
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => match error.as_rejection() {
                Some(rejection) => rejection.outcome(),
                None => Outcome::Transient { sent: Sent::Unknown, retry_after: None },
            },
        }
    }
}
