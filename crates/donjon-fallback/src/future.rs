use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use donjon_core::Classify;
use pin_project_lite::pin_project;

use crate::{Answer, handle::Counters, service::Config};

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
            guard: Guard,
        },
        Done,
    }
}

/// What is done when the call has failed.
struct Plan<K, C> {
    kept: Option<K>,
    config: Config<C>,
}

/// A second answer on its way. Dropped with its counters, it was cancelled.
struct Guard {
    counters: Option<Arc<Counters>>,
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
                    let guard = Guard { counters: Some(config.counters) };
                    state.set(State::Answering { answer: kept.answer(result), guard });
                }
                StateProj::Answering { answer, guard } => {
                    let result = ready!(answer.poll(cx));
                    guard.end(result.is_ok());
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

impl Guard {
    fn end(&mut self, answered: bool) {
        self.count(|counters| if answered { &counters.answered } else { &counters.failed });
    }

    fn count(&mut self, which: impl FnOnce(&Counters) -> &AtomicU64) {
        if let Some(counters) = self.counters.take() {
            which(&counters).fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.count(|counters| &counters.cancelled);
    }
}
