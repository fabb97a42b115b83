use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// A body that holds a guard (a permit, a place, a span) until it has ended.
    ///
    /// The guard is dropped at the end of the stream, at an error, at a panic, or with the body, whichever comes first;
    /// and at once if there is nothing to read. A body that says after its last frame that it has ended releases with
    /// that frame, since nobody needs to poll it again. Nothing else about the body changes.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use bytes::Bytes;
    /// use donjon_http::GuardedBody;
    /// use http_body_util::{BodyExt, Full};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let permit = Arc::new(());
    /// let mut body = GuardedBody::new(Full::new(Bytes::from("hello")), Arc::clone(&permit));
    /// assert_eq!(Arc::strong_count(&permit), 2);
    /// let frame = body.frame().await.expect("a frame").expect("data");
    /// assert_eq!(frame.data_ref(), Some(&Bytes::from("hello")));
    /// assert_eq!(Arc::strong_count(&permit), 1, "it was the last frame");
    /// # });
    /// ```
    pub struct GuardedBody<B, G> {
        #[pin]
        body: B,
        guard: Option<G>,
    }
}

// ===== impl GuardedBody =====

impl<B: Body, G> GuardedBody<B, G> {
    /// Holds `guard` to the end of `body`.
    pub fn new(body: B, guard: G) -> Self {
        let guard = if body.is_end_stream() { None } else { Some(guard) };
        Self { body, guard }
    }
}

impl<B, G> GuardedBody<B, G> {
    /// The body without a guard: for a layer that sometimes holds one and keeps one type.
    pub const fn unguarded(body: B) -> Self {
        Self { body, guard: None }
    }

    /// The guard, while it is held.
    pub const fn guard(&self) -> Option<&G> {
        self.guard.as_ref()
    }

    /// The body inside.
    pub const fn get_ref(&self) -> &B {
        &self.body
    }

    /// The body and the guard, if it is still held.
    pub fn into_parts(self) -> (B, Option<G>) {
        (self.body, self.guard)
    }
}

impl<B: Body, G> Body for GuardedBody<B, G> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        // Out of the body while it is polled, so that a panic releases.
        let guard = this.guard.take();
        let poll = this.body.as_mut().poll_frame(cx);
        match &poll {
            Poll::Pending => *this.guard = guard,
            Poll::Ready(Some(Ok(_))) if !this.body.is_end_stream() => *this.guard = guard,
            Poll::Ready(_) => drop(guard),
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

impl<B: fmt::Debug, G> fmt::Debug for GuardedBody<B, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody").field("body", &self.body).field("held", &self.guard.is_some()).finish()
    }
}
