//! Dropping, panics, and what a finished future holds.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
};

use donjon_core::{CallError, Reject, Rejection, RejectionKind};
use donjon_hedge::Delay;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Reply, Upstream, hedge, millis};

#[tokio::test(start_paused = true)]
async fn dropping_the_call_drops_every_copy() {
    let upstream = Upstream::new(|_| Reply::Never);
    let service = hedge(Delay::several([millis(10), millis(20)])).layer(upstream.clone());
    for lasting in [0, 5, 15, 25] {
        let _ = tokio::time::timeout(millis(lasting), service.clone().oneshot(1)).await;
        assert_eq!(upstream.running(), 0, "after {lasting} ms");
    }
    assert_eq!(upstream.millis().len(), 1 + 1 + 2 + 3);
    drop(service.clone().call(1));
    assert_eq!(upstream.running(), 0, "dropped before its first poll");
}

#[tokio::test(start_paused = true)]
async fn a_finished_future_that_stays_alive_holds_no_copy() {
    let upstream = Upstream::replies([Reply::Never, Reply::OkAfter(1)]);
    let mut service = hedge(Delay::fixed(millis(10))).layer(upstream.clone());
    poll_fn(|cx| Service::<u64>::poll_ready(&mut service, cx)).await.unwrap();
    let mut call = pin!(service.call(1));
    assert_eq!(call.as_mut().await.unwrap(), 1);
    assert_eq!(upstream.running(), 0);
    assert!(format!("{call:?}").contains("hedges: 0"));
}

#[test]
fn a_panic_of_a_copy_drops_the_others() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let alive = std::sync::Arc::new(());
    let witness = std::sync::Arc::clone(&alive);
    let inner = service_fn(move |_: u64| {
        let witness = std::sync::Arc::clone(&witness);
        async move {
            let _witness = witness;
            if CALLS.fetch_add(1, Ordering::Relaxed) == 1 {
                std::panic::resume_unwind(Box::new("scripted"));
            }
            std::future::pending::<Result<u64, CallError>>().await
        }
    });
    let service = hedge(Delay::fixed(millis(10))).layer(inner);
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(service.oneshot(1))));
    assert!(outcome.is_err());
    assert_eq!(std::sync::Arc::strong_count(&alive), 1, "no copy is alive, and no service");
}

/// Ready once, then for a clone never: the hedge cannot be sent.
#[derive(Clone)]
struct ReadyOnce(bool);

impl Service<u64> for ReadyOnce {
    type Response = u64;
    type Error = CallError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<u64, CallError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        if self.0 { Poll::Ready(Ok(())) } else { Poll::Ready(Err(CallError::new("not ready"))) }
    }

    fn call(&mut self, n: u64) -> Self::Future {
        self.0 = false;
        Box::pin(async move {
            tokio::time::sleep(millis(100)).await;
            Ok(n)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_whose_service_fails_to_be_ready_loses() {
    let mut service = hedge(Delay::fixed(millis(10))).layer(ReadyOnce(true));
    poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    assert_eq!(service.call(7).await.unwrap(), 7);
}

/// The first instance is ready, and no clone of it ever is.
struct ReadyAlone(bool);

impl Clone for ReadyAlone {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl Service<u64> for ReadyAlone {
    type Response = u64;
    type Error = CallError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<u64, CallError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        if self.0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, n: u64) -> Self::Future {
        Box::pin(async move {
            tokio::time::sleep(millis(100)).await;
            if n == 0 { Err(CallError::new("down")) } else { Ok(n) }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_whose_service_fails_to_be_ready_is_no_failure_that_was_sent() {
    /// Its first copy is refused; no hedge is ever ready.
    #[derive(Clone)]
    struct RefusesOnce(ReadyOnce);

    impl Service<u64> for RefusesOnce {
        type Response = u64;
        type Error = CallError;
        type Future = <ReadyOnce as Service<u64>>::Future;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
            self.0.poll_ready(cx)
        }

        fn call(&mut self, n: u64) -> Self::Future {
            let call = self.0.call(n);
            Box::pin(async move {
                call.await?;
                Err(CallError::from_rejection(Rejection::new(RejectionKind::Overloaded, "test")))
            })
        }
    }

    let mut service = hedge(Delay::fixed(millis(10))).layer(RefusesOnce(ReadyOnce(true)));
    poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    assert!(service.call(7).await.unwrap_err().as_rejection().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_is_never_sent_holds_up_nobody_and_is_not_counted() {
    let layer = hedge(Delay::fixed(millis(10)));
    for n in [7, 0] {
        let mut service = layer.layer(ReadyAlone(true));
        poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
        assert_eq!(service.call(n).await.ok(), (n > 0).then_some(n));
    }
    let stats = layer.handle().stats();
    assert_eq!((stats.hedges, stats.won), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_waits_for_what_the_first_copy_holds_is_sent_when_that_one_fails() {
    let upstream = Upstream::replies([Reply::FailAfter(30), Reply::OkAfter(5)]);
    let layer = hedge(Delay::fixed(millis(10)));
    // Of tower: the permit is taken by readiness.
    let mut service = layer.layer(tower::limit::ConcurrencyLimit::new(upstream.clone(), 1));
    poll_fn(|cx| Service::<u64>::poll_ready(&mut service, cx)).await.unwrap();
    assert_eq!(service.call(1).await.unwrap(), 1);
    assert_eq!(upstream.millis(), [0, 30]);
    let stats = layer.handle().stats();
    assert_eq!((stats.hedges, stats.won, layer.handle().share().stats().taken), (1, 1, 1), "it was paid for once");
}

#[tokio::test(start_paused = true)]
async fn a_finished_future_says_so_when_it_is_polled_again() {
    for delay in [Delay::fixed(millis(10)), Delay::learned()] {
        let upstream = Upstream::replies([Reply::Never, Reply::OkAfter(1)]);
        let mut call = Box::pin(hedge(delay).layer(upstream).call(1));
        assert_eq!(call.as_mut().await.unwrap(), 1);
        let again = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
        assert!(again.is_err(), "it would wait for ever");
    }
}

#[test]
fn a_call_that_is_answered_at_once_needs_no_runtime() {
    let inner = service_fn(|n: u64| std::future::ready(Ok::<_, CallError>(n)));
    let mut service = hedge(Delay::learned()).layer(inner);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    assert!(matches!(pin!(service.call(1)).poll(&mut cx), Poll::Ready(Ok(1))));
}
