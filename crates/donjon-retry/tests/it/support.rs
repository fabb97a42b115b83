//! An upstream that does as it is told, over requests that are numbers.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use donjon_core::{CallError, Reject, Rejection, RejectionKind, Scope};
use tokio::time::{Instant, sleep};
use tower::Service;

/// What the upstream does with one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Ok,
    Fail,
    Refuse(Option<Duration>),
    Reject(RejectionKind),
    FailAfter(Duration),
    Never,
    PanicInCall,
}

/// One attempt as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) attempt: u32,
    /// Since the upstream was made.
    pub(crate) at: Duration,
}

#[derive(Clone)]
pub(crate) struct Upstream {
    began: Instant,
    script: Arc<dyn Fn(usize) -> Reply + Send + Sync>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

// ===== impl Upstream =====

impl Upstream {
    /// The n-th attempt that arrives, from 0 on, gets `script(n)`.
    pub(crate) fn new(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        Self { began: Instant::now(), script: Arc::new(script), arrivals: Arc::default() }
    }

    /// These replies, then successes.
    pub(crate) fn replies<const N: usize>(replies: [Reply; N]) -> Self {
        Self::new(move |n| replies.get(n).copied().unwrap_or(Reply::Ok))
    }

    pub(crate) fn failing() -> Self {
        Self::new(|_| Reply::Fail)
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }

    pub(crate) fn calls(&self) -> usize {
        self.arrivals.lock().unwrap().len()
    }

    /// When the attempts arrived, in whole milliseconds.
    pub(crate) fn millis(&self) -> Vec<u128> {
        self.arrivals().into_iter().map(|arrival| arrival.at.as_millis()).collect()
    }
}

impl<Req> Service<Req> for Upstream {
    type Response = u64;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<u64, CallError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Req) -> Self::Future {
        let n = {
            let mut arrivals = self.arrivals.lock().unwrap();
            arrivals.push(Arrival { attempt: Scope::current().attempt(), at: self.began.elapsed() });
            arrivals.len() - 1
        };
        let reply = (self.script)(n);
        if let Reply::PanicInCall = reply {
            std::panic::resume_unwind(Box::new("scripted"));
        }
        Box::pin(async move {
            match reply {
                Reply::Ok => Ok(n as u64),
                Reply::Fail => Err(CallError::new("it failed")),
                Reply::Refuse(after) => {
                    let mut refusal = Rejection::new(RejectionKind::Overloaded, "test");
                    if let Some(after) = after {
                        refusal = refusal.with_retry_after(after);
                    }
                    Err(CallError::from_rejection(refusal))
                }
                Reply::Reject(kind) => Err(CallError::from_rejection(Rejection::new(kind, "test"))),
                Reply::FailAfter(wait) => {
                    sleep(wait).await;
                    Err(CallError::new("it failed"))
                }
                Reply::Never => std::future::pending().await,
                Reply::PanicInCall => unreachable!("it panicked"),
            }
        })
    }
}
