//! A service that does what each request says, counts, and checks that it is called on the instance that was readied.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use donjon_core::{CallError, Deadline};
use futures_util::future::BoxFuture;
use tokio::time::{Sleep, sleep};
use tower::Service;

/// What becomes of a request: times are in milliseconds of the paused clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Ok(u64),
    Fail(u64),
    Never,
    PanicInCall,
    PanicAfter(u64),
    /// Answers with how long the call has, by the ambient deadline.
    TimeLeft,
}

#[derive(Debug)]
pub(crate) struct Scripted {
    counts: Arc<Counts>,
    readiness: Readiness,
    ready: bool,
    waiting: Option<std::pin::Pin<Box<Sleep>>>,
}

/// What each clone does in `poll_ready`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Readiness {
    AtOnce,
    After(u64),
    Never,
    Fails,
    ClonePanics,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) called: AtomicUsize,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) most: AtomicUsize,
    pub(crate) polls: AtomicUsize,
}

/// What a scripted failure is.
#[derive(Debug)]
pub(crate) struct Failed;

struct InFlight(Arc<Counts>);

impl Scripted {
    pub(crate) fn new() -> Self {
        Self::with(Readiness::AtOnce)
    }

    pub(crate) fn with(readiness: Readiness) -> Self {
        Self { counts: Arc::default(), readiness, ready: false, waiting: None }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.counts.in_flight.load(Relaxed)
    }

    pub(crate) fn most(&self) -> usize {
        self.counts.most.load(Relaxed)
    }

    pub(crate) fn called(&self) -> usize {
        self.counts.called.load(Relaxed)
    }

    pub(crate) fn polls(&self) -> usize {
        self.counts.polls.load(Relaxed)
    }
}

impl Clone for Scripted {
    fn clone(&self) -> Self {
        let Self { readiness, .. } = *self;
        if let (Readiness::ClonePanics, true) = (readiness, self.called() == 1) {
            panic!("the clone for the second call");
        }
        Self { counts: Arc::clone(&self.counts), readiness, ready: false, waiting: None }
    }
}

impl Service<Act> for Scripted {
    type Response = u64;
    type Error = CallError;
    type Future = BoxFuture<'static, Result<u64, CallError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        match self.readiness {
            Readiness::AtOnce | Readiness::ClonePanics => {}
            Readiness::After(ms) => {
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(Duration::from_millis(ms))));
                ready!(waiting.as_mut().poll(cx));
            }
            Readiness::Never => return Poll::Pending,
            Readiness::Fails => return Poll::Ready(Err(Failed.into())),
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, act: Act) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called on an instance that was not readied");
        let counts = &self.counts;
        counts.called.fetch_add(1, Relaxed);
        let in_flight = InFlight::new(Arc::clone(counts));
        assert!(act != Act::PanicInCall, "a panic in the call");
        let left = Deadline::current().remaining();
        let answer = async move {
            let _in_flight = in_flight;
            let ms = |ms| sleep(Duration::from_millis(ms));
            match act {
                Act::Ok(n) => {
                    ms(n).await;
                    Ok(n)
                }
                Act::Fail(n) => {
                    ms(n).await;
                    Err(Failed.into())
                }
                Act::PanicAfter(n) => {
                    ms(n).await;
                    panic!("a panic in the future");
                }
                Act::Never | Act::PanicInCall => std::future::pending().await,
                Act::TimeLeft => {
                    tokio::task::yield_now().await;
                    assert_eq!(Deadline::current().remaining(), left, "polled in the same scope");
                    Ok(left.map_or(u64::MAX, |left| left.as_millis() as u64))
                }
            }
        };
        let counts = Arc::clone(counts);
        let mut answer = Box::pin(answer);
        Box::pin(std::future::poll_fn(move |cx| {
            counts.polls.fetch_add(1, Relaxed);
            answer.as_mut().poll(cx)
        }))
    }
}

impl InFlight {
    fn new(counts: Arc<Counts>) -> Self {
        let now = counts.in_flight.fetch_add(1, Relaxed) + 1;
        counts.most.fetch_max(now, Relaxed);
        Self(counts)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed as scripted")
    }
}

impl std::error::Error for Failed {}
