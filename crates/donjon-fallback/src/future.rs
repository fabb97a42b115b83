use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll, ready},
};

use donjon_core::{Classify, Outcome};
use pin_project_lite::pin_project;

use crate::{Answer, service::Config};

pin_project! {
    /// The future of a [`Fallback`](crate::Fallback): the inner call, and the second answer where that has failed.
    ///
    /// `F` is the inner future, `K` what was kept of the request, `A` the second answer, `C` the classifier.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, K, A, C> {
        #[pin]
        state: State<F, K, A, C>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, K, A, C> {
        Calling {
            #[pin]
            future: F,
            plan: Option<Plan<K, C>>,
        },
        Answering {
            // Dropped before the guard.
            #[pin]
            answer: A,
            guard: Guard<C>,
        },
        Done,
    }
}

/// What is done when the call has failed.
struct Plan<K, C> {
    kept: Option<K>,
    config: Config<C>,
}

/// A second answer on its way. Dropped with its means to count, it was cancelled.
struct Guard<C> {
    config: Option<Config<C>>,
}

// ===== impl ResponseFuture =====

impl<F, K, A, C> ResponseFuture<F, K, A, C> {
    pub(crate) const fn new(future: F, kept: Option<K>, config: Config<C>) -> Self {
        Self { state: State::Calling { future, plan: Some(Plan { kept, config }) } }
    }

    pub(crate) const fn bypass(future: F) -> Self {
        Self { state: State::Calling { future, plan: None } }
    }
}

impl<F, K, A, C, T, E> Future for ResponseFuture<F, K, A, C>
where
    F: Future<Output = Result<T, E>>,
    K: Answer<T, E, Future = A>,
    A: Future<Output = Result<T, E>>,
    C: Classify<T, E>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let result = loop {
            match state.as_mut().project() {
                StateProj::Calling { future, plan } => {
                    let result = ready!(future.poll(cx));
                    let Some(Plan { kept, config }) = plan.take() else { break result };
                    let outcome = config.classify.classify(result.as_ref());
                    if !config.is_asked_for(&outcome) {
                        break result;
                    }
                    let Some(kept) = kept else {
                        config.counters.not_kept.fetch_add(1, Relaxed);
                        break result;
                    };
                    // The failed call is gone before the second one begins.
                    state.set(State::Done);
                    let guard = Guard { config: Some(config) };
                    state.set(State::Answering { answer: kept.answer(result), guard });
                }
                StateProj::Answering { answer, guard } => {
                    let result = ready!(answer.poll(cx));
                    guard.end(result.as_ref());
                    break result;
                }
                StateProj::Done => panic!("the future of a fallback was polled after it had ended"),
            }
        };
        state.set(State::Done);
        Poll::Ready(result)
    }
}

impl<F, K, A, C> fmt::Debug for ResponseFuture<F, K, A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling { .. } => "calling",
            State::Answering { .. } => "answering",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}

// ===== impl Guard =====

impl<C> Guard<C> {
    /// What it says may be a failure again: the failed answer itself, handed on since the deadline has passed.
    fn end<T, E>(&mut self, result: Result<&T, &E>)
    where
        C: Classify<T, E>,
    {
        if let Some(Config { classify, counters, .. }) = self.config.take() {
            let answered = matches!(classify.classify(result), Outcome::Success);
            let which = if answered { &counters.answered } else { &counters.failed };
            which.fetch_add(1, Relaxed);
        }
    }
}

impl<C> Drop for Guard<C> {
    fn drop(&mut self) {
        if let Some(config) = self.config.take() {
            config.counters.cancelled.fetch_add(1, Relaxed);
        }
    }
}
