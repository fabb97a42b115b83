use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use donjon_core::{Classify, ClassifyRejection, Outcome, Reject, Replay};

use crate::{RetryInfo, RetryReport};

/// Decides what a call is: whether it can be sent again, whether it may be, and what came of it.
///
/// The mechanism (attempts, waits, budget, deadline) is the layer's. Neither the request nor the error needs to be
/// `Clone`: the policy is asked for a replay, and may say no.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no retry policy for a request `{Req}`, a response `{Res}` and an error `{Err}`",
    label = "not a retry policy for these types",
    note = "for HTTP use `RetryLayer::http()`: the request body must implement `Replay` (`Full<Bytes>` does, and `ReplayLayer` makes any body so)",
    note = "for other requests use `RetryLayer::new(Standard::new())`: the request must implement `Replay`",
    note = "the error type must implement `Reject`: put `.map_err(CallError::from)` at the bottom of the stack"
)]
pub trait Policy<Req, Res, Err> {
    /// Disposes of a response that will be retried; ends before the wait begins. [`Discarded`] where dropping is enough.
    type Discard: Future<Output = ()>;

    /// Asked once, before the first attempt: what this one request may do.
    fn plan(&self, req: &Req) -> Plan {
        let _ = req;
        Plan::new()
    }

    /// The same request once more, or why not. Asked before each attempt that another one may follow; the last attempt
    /// sends the copy that was kept.
    ///
    /// # Errors
    ///
    /// If the request cannot be sent again: the call then has no further attempt.
    fn replay(&self, req: &Req) -> Result<Req, NotReplayable>;

    /// Whether the kept copy can still be sent, asked when an attempt has failed. Cheap: it makes no copy.
    ///
    /// # Errors
    ///
    /// If it cannot any more.
    fn check(&self, kept: &Req) -> Result<(), NotReplayable> {
        let _ = kept;
        Ok(())
    }

    /// What came of an attempt.
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome;

    /// Marks a request as the attempt of this number: 2 or more, the first one is not asked.
    fn prepare(&self, req: &mut Req, attempt: u32) {
        let _ = (req, attempt);
    }

    /// Attaches what happened to the result that the caller gets. Not asked for a success at the first attempt.
    fn attach(&self, result: &mut Result<Res, Err>, info: RetryInfo) {
        let _ = (result, info);
    }

    /// Disposes of a response that will be retried.
    fn discard(&self, response: Res) -> Self::Discard;
}

/// What one request may do. The default leaves all to the layer, and says that the request is idempotent.
#[derive(Clone, Debug)]
#[must_use]
pub struct Plan {
    pub(crate) max_attempts: Option<u32>,
    pub(crate) idempotent: bool,
    pub(crate) report: Option<RetryReport>,
}

/// A request cannot be sent again, for this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotReplayable(
    /// A short name: `too-large`.
    pub &'static str,
);

/// The ready-made policy for any request that implements [`Replay`].
///
/// By default a response is a success, a refusal by a donjon layer is what it says, and any other error is transient
/// ([`ClassifyRejection`]). A layer for requests of any type cannot know which of them are idempotent: it takes all for
/// idempotent, unless told [`not_idempotent`](Self::not_idempotent); implement [`Policy`] to tell them apart.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Standard<C = ClassifyRejection> {
    classify: C,
    idempotent: bool,
}

/// The end of a response that is simply dropped.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "futures do nothing unless polled"]
pub struct Discarded;

// ===== impl Plan =====

impl Plan {
    /// The layer's number of attempts, of a request that is idempotent.
    pub const fn new() -> Self {
        Self { max_attempts: None, idempotent: true, report: None }
    }

    /// Attempts in all, instead of the layer's number; 0 and 1 both mean that it is not sent again.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Whether doing it twice is the same as doing it once. If not, it is sent again only if the peer cannot have acted
    /// on it ([`Outcome::is_unsent`]).
    pub const fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = idempotent;
        self
    }

    /// Where to say how it went.
    pub fn report(mut self, report: RetryReport) -> Self {
        self.report = Some(report);
        self
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

// ===== impl NotReplayable =====

impl NotReplayable {
    /// The copy of a request, or why there is none.
    pub(crate) fn unless<T>(copy: Option<T>, req: &impl Replay) -> Result<T, Self> {
        copy.ok_or_else(|| Self(req.refusal().unwrap_or("it says so")))
    }
}

// ===== impl Standard =====

impl Standard {
    /// Classifies by [`ClassifyRejection`].
    pub const fn new() -> Self {
        Self { classify: ClassifyRejection, idempotent: true }
    }
}

impl<C> Standard<C> {
    /// Another classifier: a closure, or a ready-made one.
    pub fn classify<D>(self, classify: D) -> Standard<D> {
        Standard { classify, idempotent: self.idempotent }
    }

    /// No request is idempotent: they are sent again only if the peer cannot have acted on them.
    pub fn not_idempotent(mut self) -> Self {
        self.idempotent = false;
        self
    }
}

impl Default for Standard {
    fn default() -> Self {
        Self::new()
    }
}

impl<C, Req, Res, Err> Policy<Req, Res, Err> for Standard<C>
where
    C: Classify<Res, Err>,
    Req: Replay,
    Err: Reject,
{
    type Discard = Discarded;

    fn plan(&self, _: &Req) -> Plan {
        Plan::new().idempotent(self.idempotent)
    }

    fn replay(&self, req: &Req) -> Result<Req, NotReplayable> {
        NotReplayable::unless(req.replay(), req)
    }

    fn check(&self, kept: &Req) -> Result<(), NotReplayable> {
        NotReplayable::unless(kept.is_intact().then_some(()), kept)
    }

    fn classify(&self, result: Result<&Res, &Err>) -> Outcome {
        self.classify.classify(result)
    }

    fn discard(&self, response: Res) -> Discarded {
        drop(response);
        Discarded
    }
}

// ===== impl Discarded =====

impl Future for Discarded {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}
