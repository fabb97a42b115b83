//! Which polls belong to a caller and which to a task of the pool.
//!
//! hyper-util races a new connection against the pool. When the pool wins, it hands the connecting future to the
//! executor, to finish there and fill the pool. A connecting future that still waits for its place under the bound has
//! nothing to finish: its caller is served, and it would only stand in the way of the others. So polls of spawned
//! tasks are marked, and what waits for a place gives up when it sees the mark.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use hyper_util::rt::TokioExecutor;
use pin_project_lite::pin_project;

thread_local! {
    static IN_BACKGROUND: Cell<bool> = const { Cell::new(false) };
}

/// tokio's executor, whose tasks know that nobody awaits them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Executor;

pin_project! {
    struct Background<F> {
        #[pin]
        inner: F,
    }
}

/// Puts the mark back, on unwinding too.
struct Restore(bool);

/// Whether the running poll is one of a spawned task of the pool.
pub(crate) fn in_background() -> bool {
    IN_BACKGROUND.get()
}

/// Runs `f` for a caller, even inside of a task of the pool: a request body may itself make calls.
pub(crate) fn in_foreground<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Restore(IN_BACKGROUND.replace(false));
    f()
}

// ===== impl Executor =====

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        TokioExecutor::new().execute(Background { inner: future });
    }
}

// ===== impl Background =====

impl<F: Future> Future for Background<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let _restore = Restore(IN_BACKGROUND.replace(true));
        self.project().inner.poll(cx)
    }
}

// ===== impl Restore =====

impl Drop for Restore {
    fn drop(&mut self) {
        IN_BACKGROUND.set(self.0);
    }
}
