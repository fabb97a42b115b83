use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use donjon_core::{Classify, Outcome, Reject, error_chain};
use futures_core::Stream;
use tower_service::Service;

use crate::engine::Engine;

/// The first `k` successes of a [`FanOut`](crate::FanOut), with their keys: a future.
#[must_use = "futures do nothing unless polled"]
pub struct Quorum<S, K, Req, Src, J = AnyOk>
where
    S: Service<Req>,
    J: Judge<S::Response, S::Error>,
{
    // None once it has completed.
    engine: Option<Engine<S, K, Req, Src>>,
    judge: J,
    needed: usize,
    successes: Vec<(K, S::Response)>,
    failures: Vec<(K, J::Failure)>,
}

/// The first success of a [`FanOut`](crate::FanOut), with its key: a future.
#[must_use = "futures do nothing unless polled"]
pub struct FirstOk<S, K, Req, Src, J = AnyOk>
where
    S: Service<Req>,
    J: Judge<S::Response, S::Error>,
{
    quorum: Quorum<S, K, Req, Src, J>,
}

/// Tells a success from a failure. Implemented by [`AnyOk`] and [`By`], and by nothing else.
pub trait Judge<T, E>: sealed::Sealed {
    /// What is kept of a failure.
    type Failure;

    /// The response, if it is a success.
    ///
    /// # Errors
    ///
    /// What is kept, if it is not.
    fn judge(&self, result: Result<T, E>) -> Result<T, Self::Failure>;

    /// What is said of a failure.
    #[doc(hidden)]
    fn reason(failure: &Self::Failure) -> String;
}

/// Each `Ok` is a success.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyOk;

/// A response is a success if the classifier says [`Outcome::Success`].
#[derive(Clone, Copy, Debug, Default)]
pub struct By<C>(pub(crate) C);

/// Fewer calls succeeded than were needed. `Display` says how many, and why the last one did not.
#[non_exhaustive]
pub struct NotEnough<K, T, F> {
    /// How many successes were needed.
    pub needed: usize,
    /// What succeeded, as it completed.
    pub successes: Vec<(K, T)>,
    /// What failed, as it completed. What was cancelled when the quorum was out of reach is in neither list.
    pub failures: Vec<(K, F)>,
    /// Of the last failure.
    reason: Option<String>,
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::AnyOk {}
    impl<C> Sealed for super::By<C> {}
}

/// Nothing in it is ever pinned but what is boxed.
impl<S, K, Req, Src, J> Unpin for Quorum<S, K, Req, Src, J>
where
    S: Service<Req>,
    J: Judge<S::Response, S::Error>,
{
}

// ===== impl Quorum =====

impl<S, K, Req, Src, J> Quorum<S, K, Req, Src, J>
where
    S: Service<Req>,
    J: Judge<S::Response, S::Error>,
{
    pub(crate) fn new(engine: Engine<S, K, Req, Src>, needed: usize, judge: J) -> Self {
        Self { engine: Some(engine), judge, needed, successes: Vec::new(), failures: Vec::new() }
    }
}

impl<S, K, Req, Src, J> Future for Quorum<S, K, Req, Src, J>
where
    S: Service<Req> + Clone,
    S::Error: Reject,
    Src: Stream<Item = (K, Req)> + Unpin,
    J: Judge<S::Response, S::Error>,
{
    type Output = Result<Vec<(K, S::Response)>, NotEnough<K, S::Response, J::Failure>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            let engine = this.engine.as_mut().expect("polled after it had completed");
            let missing = this.needed - this.successes.len();
            let refused = !this.failures.is_empty();
            let in_reach = |engine: &Engine<_, _, _, _>| match engine.size_hint().1 {
                Some(left) => left >= missing,
                // It may have no end, and nothing of it is called any more.
                None => !(refused && engine.only_refuses()),
            };
            if missing > 0 && in_reach(engine) {
                match engine.poll_next(cx, usize::MAX) {
                    Poll::Ready(Some(done)) => {
                        match this.judge.judge(done.result) {
                            Ok(response) => this.successes.push((done.key, response)),
                            Err(failure) => this.failures.push((done.key, failure)),
                        }
                        continue;
                    }
                    // The source may have ended, and with it the hope.
                    Poll::Pending if in_reach(engine) => return Poll::Pending,
                    Poll::Ready(None) | Poll::Pending => {}
                }
            }
            // Cancels the rest.
            this.engine = None;
            let successes = std::mem::take(&mut this.successes);
            let failures = std::mem::take(&mut this.failures);
            return Poll::Ready(if missing == 0 {
                Ok(successes)
            } else {
                let reason = failures.last().map(|(_, failure)| J::reason(failure));
                Err(NotEnough { needed: this.needed, successes, failures, reason })
            });
        }
    }
}

impl<S, K, Req, Src, J> fmt::Debug for Quorum<S, K, Req, Src, J>
where
    S: Service<Req>,
    J: Judge<S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quorum")
            .field("needed", &self.needed)
            .field("in_flight", &self.engine.as_ref().map_or(0, Engine::in_flight))
            .field("successes", &self.successes.len())
            .field("failures", &self.failures.len())
            .finish_non_exhaustive()
    }
}

// ===== impl FirstOk =====

impl<S, K, Req, Src, J> FirstOk<S, K, Req, Src, J>
where
    S: Service<Req>,
    J: Judge<S::Response, S::Error>,
{
    pub(crate) fn new(engine: Engine<S, K, Req, Src>, judge: J) -> Self {
        Self { quorum: Quorum::new(engine, 1, judge) }
    }
}

impl<S, K, Req, Src, J> Future for FirstOk<S, K, Req, Src, J>
where
    S: Service<Req> + Clone,
    S::Error: Reject,
    Src: Stream<Item = (K, Req)> + Unpin,
    J: Judge<S::Response, S::Error>,
{
    type Output = Result<(K, S::Response), NotEnough<K, S::Response, J::Failure>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let successes = ready!(Pin::new(&mut self.get_mut().quorum).poll(cx))?;
        Poll::Ready(Ok(successes.into_iter().next().expect("a quorum of one has one success")))
    }
}

impl<S, K, Req, Src, J> fmt::Debug for FirstOk<S, K, Req, Src, J>
where
    S: Service<Req>,
    J: Judge<S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FirstOk").field(&self.quorum).finish()
    }
}

// ===== impl Judge =====

impl<T, E: Reject> Judge<T, E> for AnyOk {
    type Failure = E;

    fn judge(&self, result: Result<T, E>) -> Result<T, E> {
        result
    }

    fn reason(failure: &E) -> String {
        reason(failure.as_error())
    }
}

impl<T, E: Reject, C: Classify<T, E>> Judge<T, E> for By<C> {
    type Failure = Result<T, E>;

    fn judge(&self, result: Result<T, E>) -> Result<T, Result<T, E>> {
        match (self.0.classify(result.as_ref()), result) {
            (Outcome::Success, Ok(response)) => Ok(response),
            (_, result) => Err(result),
        }
    }

    fn reason(failure: &Result<T, E>) -> String {
        match failure {
            Ok(_) => "the response was no success".to_owned(),
            Err(error) => reason(error.as_error()),
        }
    }
}

/// An error with its deepest cause, unless it says that itself.
fn reason(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    match error_chain(error).last().map(ToString::to_string) {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    }
}

// ===== impl NotEnough =====

impl<K: fmt::Debug, T, F: fmt::Debug> fmt::Debug for NotEnough<K, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotEnough")
            .field("needed", &self.needed)
            .field("successes", &self.successes.len())
            .field("failures", &self.failures)
            .finish()
    }
}

impl<K, T, F> fmt::Display for NotEnough<K, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (successes, failures) = (self.successes.len(), self.failures.len());
        write!(f, "{successes} of {} needed calls succeeded and {failures} failed", self.needed)?;
        match &self.reason {
            Some(reason) => write!(f, ", the last: {reason}"),
            None => Ok(()),
        }
    }
}

impl<K: fmt::Debug, T, F: fmt::Debug> Error for NotEnough<K, T, F> {}
