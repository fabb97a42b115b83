//! Dropping the call, and panics: at each point of its life.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use donjon_core::Replay;
use donjon_retry::{Backoff, Jitter, RetryLayer};
use tokio::time::{advance, timeout};
use tower::{Layer, Service, ServiceExt};

use crate::support::{Reply, Upstream};

const SECOND: Duration = Duration::from_secs(1);

fn layer() -> RetryLayer {
    RetryLayer::default().backoff(Backoff::constant(SECOND).jitter(Jitter::None))
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[tokio::test(start_paused = true)]
async fn dropped_before_the_first_poll_it_has_called_and_counts_nothing() {
    let layer = layer();
    let upstream = Upstream::failing();
    drop(layer.layer(upstream.clone()).call(1_u64));
    assert_eq!(upstream.calls(), 1);
    assert_eq!(layer.handle().stats().cancelled, 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_in_its_wait_it_has_cost_nothing() {
    let layer = layer();
    let upstream = Upstream::failing();
    timeout(SECOND / 2, layer.layer(upstream.clone()).oneshot(1_u64)).await.expect_err("it waits");
    assert_eq!(upstream.calls(), 1);
    let (stats, budget) = (layer.handle().stats(), layer.handle().budget().stats());
    assert_eq!((stats.retries, stats.cancelled, stats.retrying), (0, 1, 0));
    assert_eq!((budget.tokens, budget.granted, budget.given_back), (24.0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn dropped_in_its_second_wait_the_retry_that_was_sent_stays_paid() {
    let layer = layer();
    let upstream = Upstream::failing();
    timeout(SECOND * 3 / 2, layer.layer(upstream.clone()).oneshot(1_u64)).await.expect_err("it waits");
    assert_eq!(upstream.calls(), 2);
    assert_eq!(layer.handle().budget().stats().tokens, 23.0);
}

#[tokio::test(start_paused = true)]
async fn dropped_in_a_retry_that_runs_its_token_is_spent() {
    let layer = layer();
    let upstream = Upstream::replies([Reply::Fail, Reply::Never]);
    timeout(SECOND * 2, layer.layer(upstream.clone()).oneshot(1_u64)).await.expect_err("the retry hangs");
    assert_eq!(upstream.calls(), 2);
    assert_eq!(layer.handle().stats().cancelled, 1);
    assert_eq!(layer.handle().budget().stats().tokens, 23.0);
}

#[tokio::test(start_paused = true)]
async fn completed_it_holds_nothing_even_if_the_future_stays_alive() {
    struct Held(Arc<()>);
    impl Replay for Held {
        fn replay(&self) -> Option<Self> {
            Some(Self(Arc::clone(&self.0)))
        }
    }

    let alive = Arc::new(());
    let layer = layer();
    let upstream = Upstream::replies([Reply::Fail, Reply::Ok]);
    let mut service = layer.layer(upstream);
    let mut call = pin!(service.call(Held(Arc::clone(&alive))));
    call.as_mut().await.expect("the second works");
    assert_eq!(Arc::strong_count(&alive), 1, "no copy of the request is kept");
    assert_eq!(layer.handle().stats().retrying, 0);
    assert_eq!(layer.handle().stats().cancelled, 0);
}

#[tokio::test(start_paused = true)]
#[should_panic = "`ResponseFuture` polled after completion"]
async fn polling_after_completion_panics() {
    let mut service = layer().layer(Upstream::replies([]));
    let mut call = pin!(service.call(1_u64));
    call.as_mut().await.expect("it works");
    let _ = poll_once(call).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_call_of_a_retry_is_a_drop_and_its_token_is_spent() {
    let layer = layer();
    let upstream = Upstream::replies([Reply::Fail, Reply::PanicInCall]);
    let mut call = Box::pin(layer.layer(upstream.clone()).oneshot(1_u64));
    assert!(poll_once(call.as_mut()).await.is_pending());
    advance(SECOND).await;
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx))).expect_err("it panics");
    drop(call);
    let stats = layer.handle().stats();
    assert_eq!((upstream.calls(), stats.cancelled, stats.retrying), (2, 1, 0));
    assert_eq!(layer.handle().budget().stats().tokens, 23.0);
    assert_eq!(donjon_core::Scope::current().attempt(), 1, "the scope was put back");
}

#[tokio::test(start_paused = true)]
async fn one_waker_and_few_polls_for_a_long_wait() {
    let layer = RetryLayer::default().backoff(Backoff::constant(SECOND * 3600).jitter(Jitter::None));
    let mut call = pin!(layer.layer(Upstream::failing()).oneshot(1_u64));
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        call.as_mut().poll(cx)
    })
    .await
    .expect_err("it is down");
    assert!(polls <= 8, "{polls} polls for three waits of an hour");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_observer_is_a_drop_and_costs_nothing() {
    let layer = layer().on_event(|_| std::panic::resume_unwind(Box::new("scripted")));
    let mut call = Box::pin(layer.layer(Upstream::failing()).oneshot(1_u64));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx))).expect_err("it panics");
    drop(call);
    let (stats, budget) = (layer.handle().stats(), layer.handle().budget().stats());
    assert_eq!((stats.retrying, stats.cancelled, stats.retries), (0, 1, 0));
    assert_eq!((budget.tokens, budget.given_back), (24.0, 1));
}
