use std::{
    convert::Infallible,
    future::{Ready, ready},
    time::Duration,
};

use donjon_core::{Classify, ClassifyRejection, Outcome, Reject};

/// How the responses of a service become values that can be stored, and values become responses.
///
/// [`Values`] is the form of [`CacheLayer::new`](crate::CacheLayer::new): the response itself is the value. That of
/// HTTP captures bodies.
#[diagnostic::on_unimplemented(
    message = "the cache cannot keep a response `{Res}` in the form `{Self}`",
    label = "not a form for these types",
    note = "`Values` needs a response that is `Clone + Send + Sync + 'static` and an error that implements `Reject`",
    note = "the form of HTTP needs `http::Response<B>` with `B: http_body::Body<Data = Bytes> + Unpin`"
)]
pub trait Form<Req, Res, Err> {
    /// What is stored, and what those get who waited for another one's call. Cheap to clone.
    type Value: Clone + Send + Sync + 'static;

    /// What is for the caller alone that made the call: a response that is not captured, or more of it than is stored.
    type Own: Send + 'static;

    /// What a caller gets.
    type Response;

    /// Reads what there is to read of a response.
    type Capture: Future<Output = Captured<Self::Value, Self::Own>>;

    /// Whether [`answer`](Form::answer) is told how old a value is. Yes unless said; without, a hit does not reckon it.
    const TELLS_AGE: bool = true;

    /// What is to become of this result: read off the head of the response.
    fn judge(&self, result: Result<&Res, &Err>) -> Verdict;

    /// Captures this response, to be stored or at least shared with those who wait for the same.
    fn capture(&self, response: Res) -> Self::Capture;

    /// A response that is nobody else's business, as it is.
    fn pass(&self, response: Res) -> Self::Response;

    /// A response for the caller alone that made the call.
    fn own(&self, own: Self::Own) -> Self::Response;

    /// A response from a value: of this age, if it was in the store and the form [tells](Form::TELLS_AGE) it.
    fn answer(&self, value: Self::Value, age: Option<Duration>) -> Self::Response;

    /// The outcome of a failure, for those who waited for another one's call.
    fn outcome(&self, error: &Err) -> Outcome;

    /// For how long a value may be kept at most, by what it says itself. No limits unless said.
    fn limits(&self, value: &Self::Value) -> Limits {
        let _ = value;
        Limits::none()
    }

    /// What this request changes, though it is not cached itself: the tag of what is to be removed when it is over. None
    /// unless said.
    fn changes(&self, request: &Req) -> Option<String> {
        let _ = request;
        None
    }
}

/// What is to become of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a form that knows more has no use for it")]
pub enum Verdict {
    /// It may be kept for the TTL.
    Keep,
    /// It may be kept for the negative TTL, if there is one: "there is no such thing".
    Negative,
    /// It is an answer, and not kept.
    Pass,
    /// The service failed: a stale value is better, if there is one.
    Failure,
}

/// A captured response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Captured<V, O> {
    pub(crate) value: Option<V>,
    pub(crate) own: Option<O>,
    pub(crate) failed: bool,
}

/// For how long a value may be kept at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Limits {
    pub(crate) fresh: Duration,
    pub(crate) never_stale: bool,
}

/// Responses that are values: `Clone`, and the same for all who ask with the same key. `C` is the
/// [classifier](crate::CacheLayer::classify).
#[derive(Clone, Copy, Debug, Default)]
pub struct Values<C = ClassifyRejection> {
    classify: C,
}

// ===== impl Captured =====

impl<V, O> Captured<V, O> {
    /// A value, for the caller as for all others.
    pub const fn value(value: V) -> Self {
        Self { value: Some(value), own: None, failed: false }
    }

    /// A value for the others, and what its caller gets.
    pub const fn with_own(value: V, own: O) -> Self {
        Self { value: Some(value), own: Some(own), failed: false }
    }

    /// A response for its caller alone: it is not stored, and those who waited for it make a call each.
    pub const fn alone(own: O) -> Self {
        Self { value: None, own: Some(own), failed: false }
    }

    /// The response has failed after its head: a stale value is better, if there is one.
    pub const fn failed(mut self) -> Self {
        self.failed = true;
        self
    }
}

// ===== impl Limits =====

impl Limits {
    /// No limits.
    pub const fn none() -> Self {
        Self { fresh: Duration::MAX, never_stale: false }
    }

    /// Fresh for at most this long. With zero it is not kept at all.
    pub const fn fresh_for(mut self, fresh: Duration) -> Self {
        self.fresh = fresh;
        self
    }

    /// What is left of that when it was so long on its way.
    pub(crate) const fn fresh_after(self, way: Duration) -> Duration {
        self.fresh.saturating_sub(way)
    }

    /// Never served stale.
    pub const fn never_stale(mut self) -> Self {
        self.never_stale = true;
        self
    }
}

// ===== impl Values =====

impl<C> Values<C> {
    pub(crate) const fn new(classify: C) -> Self {
        Self { classify }
    }
}

/// A response is kept if its outcome is a success, and is negative if that is permanent; anything else is a failure, as
/// every error is.
impl<Req, Res, Err, C> Form<Req, Res, Err> for Values<C>
where
    Res: Clone + Send + Sync + 'static,
    Err: Reject,
    C: Classify<Res, Err>,
{
    type Value = Res;
    type Own = Infallible;
    type Response = Res;
    type Capture = Ready<Captured<Res, Infallible>>;

    const TELLS_AGE: bool = false;

    #[inline]
    fn judge(&self, result: Result<&Res, &Err>) -> Verdict {
        if result.is_err() {
            return Verdict::Failure;
        }
        match self.classify.classify(result) {
            Outcome::Success => Verdict::Keep,
            Outcome::Permanent => Verdict::Negative,
            Outcome::Cancelled => Verdict::Pass,
            Outcome::Transient { .. } | Outcome::Throttled { .. } | Outcome::Refused { .. } => Verdict::Failure,
        }
    }

    #[inline]
    fn capture(&self, response: Res) -> Self::Capture {
        ready(Captured::value(response))
    }

    #[inline]
    fn pass(&self, response: Res) -> Res {
        response
    }

    #[inline]
    fn own(&self, own: Infallible) -> Res {
        match own {}
    }

    #[inline]
    fn answer(&self, value: Res, _: Option<Duration>) -> Res {
        value
    }

    fn outcome(&self, error: &Err) -> Outcome {
        self.classify.classify(Err(error))
    }
}
