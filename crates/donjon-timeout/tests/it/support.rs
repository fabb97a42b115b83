//! Services that do what a test says.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use donjon_core::{CallError, Phase, Reject, RejectionKind};
use tower::Service;

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The kind and the phase of the refusal in an error.
#[track_caller]
pub(crate) fn refusal(error: &CallError) -> (RejectionKind, Phase) {
    let rejection = error.as_rejection().unwrap_or_else(|| panic!("not a refusal: {error:?}"));
    (rejection.kind(), rejection.phase())
}

/// Counts how many of something are alive.
#[derive(Clone, Default)]
pub(crate) struct Alive(Arc<AtomicUsize>);

pub(crate) struct Token(Arc<AtomicUsize>);

impl Alive {
    pub(crate) fn token(&self) -> Token {
        self.0.fetch_add(1, SeqCst);
        Token(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Ready at once, and holds on to its token until it is dropped.
pub(crate) struct Holds(#[expect(dead_code, reason = "it is held")] pub(crate) Token);

impl Future for Holds {
    type Output = Result<u64, CallError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(1))
    }
}

/// A poll that uses up the task's cooperative budget first, each time.
pub(crate) async fn without_budget<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        while pin!(tokio::task::coop::consume_budget()).poll(cx).is_ready() {}
        future.as_mut().poll(cx)
    })
    .await
}

/// Counts what is done to a service, whose readiness and calls are closures.
#[derive(Clone)]
pub(crate) struct Counted<R, C> {
    ready: R,
    call: C,
    pub(crate) asked: Arc<AtomicUsize>,
    pub(crate) called: Arc<AtomicUsize>,
}

impl<R, C> Counted<R, C> {
    pub(crate) fn new(ready: R, call: C) -> Self {
        Self { ready, call, asked: Arc::default(), called: Arc::default() }
    }

    /// How often it was asked for readiness, and called.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.asked.load(SeqCst), self.called.load(SeqCst))
    }
}

impl<R, C, F, Req, Res, E> Service<Req> for Counted<R, C>
where
    R: FnMut(&mut Context<'_>) -> Poll<Result<(), E>>,
    C: FnMut(Req) -> F,
    F: Future<Output = Result<Res, E>>,
{
    type Response = Res;
    type Error = E;
    type Future = F;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.asked.fetch_add(1, SeqCst);
        (self.ready)(cx)
    }

    fn call(&mut self, req: Req) -> F {
        self.called.fetch_add(1, SeqCst);
        (self.call)(req)
    }
}

/// A body that does what a test says, and holds on to a token while it is alive.
#[cfg(feature = "http")]
pub(crate) mod body {
    use std::{
        future::Future,
        pin::Pin,
        task::{Context, Poll, ready},
        time::Duration,
    };

    use bytes::Bytes;
    use http_body::{Body, Frame, SizeHint};
    use tokio::time::{Sleep, sleep};

    use super::Token;

    /// One step of a body.
    pub(crate) enum Step {
        Wait(Duration),
        Data(&'static str),
        Trailers(http::HeaderMap),
        Fail(&'static str),
        /// For ever ready.
        Flood,
        Hang,
    }

    pub(crate) struct Script {
        steps: std::collections::VecDeque<Step>,
        sleep: Option<Pin<Box<Sleep>>>,
        pub(crate) token: Option<Token>,
        pub(crate) seen: Option<Box<dyn FnMut() + Send>>,
    }

    impl Script {
        pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
            Self { steps: steps.into_iter().collect(), sleep: None, token: None, seen: None }
        }
    }

    impl Body for Script {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            if let Some(seen) = &mut self.seen {
                seen();
            }
            loop {
                if let Some(wait) = &mut self.sleep {
                    ready!(wait.as_mut().poll(cx));
                    self.sleep = None;
                }
                match self.steps.front() {
                    Some(Step::Hang) => return Poll::Pending,
                    Some(Step::Flood) => return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x"))))),
                    _ => {}
                }
                return Poll::Ready(match self.steps.pop_front() {
                    Some(Step::Wait(wait)) => {
                        self.sleep = Some(Box::pin(sleep(wait)));
                        continue;
                    }
                    Some(Step::Data(data)) => Some(Ok(Frame::data(Bytes::from_static(data.as_bytes())))),
                    Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
                    Some(Step::Fail(why)) => Some(Err(std::io::Error::other(why))),
                    _ => None,
                });
            }
        }

        fn is_end_stream(&self) -> bool {
            self.steps.is_empty() && self.sleep.is_none()
        }

        fn size_hint(&self) -> SizeHint {
            let mut hint = SizeHint::new();
            if self.steps.iter().all(|step| matches!(step, Step::Data(_))) {
                hint.set_exact(
                    self.steps.iter().map(|step| if let Step::Data(d) = step { d.len() } else { 0 } as u64).sum(),
                );
            }
            hint
        }
    }
}
