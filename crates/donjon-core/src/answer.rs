use std::{
    convert::Infallible,
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

/// What a store or a limiter answers: at once, or later.
///
/// One inside of the process answers [`Now`](Answer::Now), so whoever asks need not poll anything: a cache can serve a
/// hit inside of `call` before it touches its inner service. One on another machine answers [`Later`](Answer::Later).
/// `.await` works on both.
pub enum Answer<F: Future> {
    /// The answer.
    Now(F::Output),
    /// It comes from the future.
    Later(F),
}

/// The future of whoever always answers at once. It has no values.
pub struct Never<T> {
    never: Infallible,
    output: PhantomData<fn() -> T>,
}

pin_project! {
    /// What `.await` on an [`Answer`] polls.
    pub struct AnswerFuture<F: Future> {
        now: Option<F::Output>,
        #[pin]
        later: Option<F>,
    }
}

// ===== impl Answer =====

impl<F: Future> Answer<F> {
    /// The answer, if it is already there.
    #[must_use]
    pub fn now(self) -> Option<F::Output> {
        match self {
            Self::Now(output) => Some(output),
            Self::Later(_) => None,
        }
    }
}

impl<T> Answer<Never<T>> {
    /// The answer of whoever always answers at once.
    #[must_use]
    pub fn into_inner(self) -> T {
        match self {
            Self::Now(output) => output,
            Self::Later(never) => match never.never {},
        }
    }
}

impl<F: Future> IntoFuture for Answer<F> {
    type Output = F::Output;
    type IntoFuture = AnswerFuture<F>;

    fn into_future(self) -> AnswerFuture<F> {
        match self {
            Self::Now(output) => AnswerFuture { now: Some(output), later: None },
            Self::Later(future) => AnswerFuture { now: None, later: Some(future) },
        }
    }
}

impl<F> fmt::Debug for Answer<F>
where
    F: Future,
    F::Output: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(output) => f.debug_tuple("Now").field(output).finish(),
            Self::Later(_) => f.debug_tuple("Later").finish_non_exhaustive(),
        }
    }
}

// ===== impl AnswerFuture =====

impl<F: Future> Future for AnswerFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some(later) = this.later.as_pin_mut() {
            return later.poll(cx);
        }
        Poll::Ready(this.now.take().expect("an answer is not polled after it was given"))
    }
}

impl<F: Future> fmt::Debug for AnswerFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerFuture").finish_non_exhaustive()
    }
}

// ===== impl Never =====

impl<T> Future for Never<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        match self.never {}
    }
}

impl<T> fmt::Debug for Never<T> {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.never {}
    }
}
