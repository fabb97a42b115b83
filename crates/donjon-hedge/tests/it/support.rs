//! An upstream that does as it is told, over requests that are numbers.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use donjon_budget::Budget;
use donjon_core::{CallError, Reject, Rejection, RejectionKind};
use donjon_hedge::{Delay, HedgeLayer};
use tokio::time::{Instant, sleep};
use tower::Service;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    OkAfter(u64),
    FailAfter(u64),
    RefuseAfter(u64),
    /// Fails, and nothing has reached the peer.
    UnsentAfter(u64),
    Never,
}

/// The failure that nothing was sent for.
#[derive(Debug)]
pub(crate) struct Unsent;

/// The n-th call, from 0 on, gets its reply; it answers with its own number.
#[derive(Clone)]
pub(crate) struct Upstream {
    began: Instant,
    script: Arc<dyn Fn(usize) -> Reply + Send + Sync>,
    arrivals: Arc<Mutex<Vec<u128>>>,
    running: Arc<AtomicUsize>,
}

/// Counts a call while it runs.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    pub(crate) fn new(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        Self { began: Instant::now(), script: Arc::new(script), arrivals: Arc::default(), running: Arc::default() }
    }

    pub(crate) fn replies<const N: usize>(replies: [Reply; N]) -> Self {
        Self::new(move |n| replies.get(n).copied().unwrap_or(Reply::OkAfter(0)))
    }

    /// When the calls arrived, in whole milliseconds since the upstream was made.
    pub(crate) fn millis(&self) -> Vec<u128> {
        self.arrivals.lock().unwrap().clone()
    }

    /// Calls that are running now.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }
}

impl Service<u64> for Upstream {
    type Response = usize;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<usize, CallError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u64) -> Self::Future {
        let n = {
            let mut arrivals = self.arrivals.lock().unwrap();
            arrivals.push(self.began.elapsed().as_millis());
            arrivals.len() - 1
        };
        let reply = (self.script)(n);
        self.running.fetch_add(1, Ordering::Relaxed);
        let running = Running(Arc::clone(&self.running));
        Box::pin(async move {
            let _running = running;
            match reply {
                Reply::OkAfter(0) => Ok(n),
                Reply::OkAfter(millis) => {
                    sleep(Duration::from_millis(millis)).await;
                    Ok(n)
                }
                Reply::FailAfter(millis) => {
                    sleep(Duration::from_millis(millis)).await;
                    Err(CallError::new(format!("call {n} failed")))
                }
                Reply::RefuseAfter(millis) => {
                    sleep(Duration::from_millis(millis)).await;
                    Err(CallError::from_rejection(Rejection::new(RejectionKind::Overloaded, "test")))
                }
                Reply::UnsentAfter(millis) => {
                    sleep(Duration::from_millis(millis)).await;
                    Err(CallError::from(Unsent))
                }
                Reply::Never => std::future::pending().await,
            }
        })
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not sent")
    }
}

impl std::error::Error for Unsent {}

/// Every hedge is paid for.
pub(crate) fn hedge(delay: Delay) -> HedgeLayer {
    HedgeLayer::default().delay(delay).budget(&Budget::unlimited())
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
