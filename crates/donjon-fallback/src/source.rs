use std::future::Future;

/// Where a second answer comes from: says what is to be kept of a request until the first answer is there.
///
/// [`Value`](crate::Value), [`Function`](crate::Function) and [`Second`](crate::Second) are the ready-made ones.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot answer a request `{Req}` a second time",
    label = "not a source of second answers for these requests",
    note = "a function and a second service need a request that implements `Replay`; a value does not"
)]
pub trait Source<Req> {
    /// What is kept. It is an [`Answer`] to the responses and errors of the inner service.
    type Kept;

    /// Keeps what is needed of this request; `None` if that is not possible, and then there is no second answer.
    fn keep(&self, req: &Req) -> Option<Self::Kept>;
}

/// The second answer to one call.
#[diagnostic::on_unimplemented(
    message = "`{Self}` makes no second answer of the type `Result<{Res}, {Err}>`",
    label = "the second answer must have the response and the error type of the service",
    note = "a function is `Fn(Req, Result<Res, Err>) -> Result<Res, Err>` with its argument types written out",
    note = "a second service has the same `Response` and `Error` as the first; `.map_response` and `.map_err` make it so"
)]
pub trait Answer<Res, Err> {
    /// The answer, as it comes.
    type Future: Future<Output = Result<Res, Err>>;

    /// Answers in the place of this failure: an error, or a response that was classified as one.
    fn answer(self, failed: Result<Res, Err>) -> Self::Future;
}
