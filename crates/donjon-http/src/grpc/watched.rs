use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// A request body that says when it has been sent: made by [`StatusLayer`](super::StatusLayer).
    #[derive(Debug)]
    pub struct WatchedBody<B> {
        #[pin]
        body: B,
        ended: Ended,
    }
}

/// Whether a request is over: its body was read to the end, has failed, or was dropped.
#[derive(Clone, Debug)]
pub(super) struct Over(Option<Arc<AtomicBool>>);

/// The end of it that the body holds.
#[derive(Debug)]
struct Ended(Option<Arc<AtomicBool>>);

// ===== impl WatchedBody =====

impl<B: Body> WatchedBody<B> {
    pub(super) fn new(body: B) -> (Self, Over) {
        let flag = (!body.is_end_stream()).then(|| Arc::new(AtomicBool::new(false)));
        (Self { body, ended: Ended(flag.clone()) }, Over(flag))
    }
}

impl<B: Body> Body for WatchedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let poll = this.body.as_mut().poll_frame(cx);
        match &poll {
            Poll::Ready(None | Some(Err(_))) => this.ended.set(),
            Poll::Ready(Some(Ok(_))) if this.body.is_end_stream() => this.ended.set(),
            _ => {}
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// ===== impl Over =====

impl Over {
    pub(super) fn is_over(&self) -> bool {
        self.0.as_ref().is_none_or(|flag| flag.load(Ordering::Acquire))
    }
}

// ===== impl Ended =====

impl Ended {
    fn set(&self) {
        if let Some(flag) = &self.0 {
            flag.store(true, Ordering::Release);
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.set();
    }
}
