//! The attempt timeout over any request.

use std::{
    future::{Future, pending, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::atomic::Ordering::SeqCst,
    task::{Context, Poll, Waker},
    time::Duration,
};

use donjon_core::{CallError, Deadline, Fresh, Phase, RejectionKind};
use donjon_timeout::TimeoutLayer;
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Alive, Counted, Holds, millis, refusal, secs};

const TIMEOUT: RejectionKind = RejectionKind::AttemptTimeout;

fn hangs() -> impl Service<u64, Response = u64, Error = CallError, Future: Send> + Clone {
    service_fn(|_: u64| pending::<Result<u64, CallError>>())
}

fn at_once(_: &mut Context<'_>) -> Poll<Result<(), CallError>> {
    Poll::Ready(Ok(()))
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_given_up() {
    let layer = TimeoutLayer::new(secs(1));
    let start = Instant::now();
    let error = layer.layer(hangs()).oneshot(1).await.expect_err("it never answers");
    assert_eq!(refusal(&error), (TIMEOUT, Phase::Attempt));
    assert_eq!(error.to_string(), "timeout refused the call: attempt-timeout (attempt)");
    assert_eq!(start.elapsed(), secs(1));
    assert_eq!((layer.handle().stats().attempt, layer.handle().stats().total()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_the_whole_time() {
    let mut service = TimeoutLayer::new(secs(1)).layer(hangs());
    for _ in 0..3 {
        let start = Instant::now();
        assert!(service.ready().await.expect("ready").call(1).await.is_err());
        assert_eq!(start.elapsed(), secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_from_the_first_poll() {
    let inner = service_fn(|n: u64| async move {
        sleep(millis(900)).await;
        Ok::<_, CallError>(n)
    });
    let mut service = TimeoutLayer::new(secs(1)).layer(inner);
    let call = service.ready().await.expect("ready").call(1);
    advance(secs(60)).await;
    assert_eq!(call.await.expect("in time"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_when_the_time_is_up_wins() {
    let inner = service_fn(|n: u64| async move {
        sleep(secs(1)).await;
        Ok::<_, CallError>(n)
    });
    assert_eq!(TimeoutLayer::new(secs(1)).layer(inner).oneshot(7).await.expect("just in time"), 7);
}

#[tokio::test(start_paused = true)]
async fn the_readied_instance_is_called_and_need_not_be_clone() {
    struct NotClone(u64);
    impl Service<u64> for NotClone {
        type Response = u64;
        type Error = CallError;
        type Future = std::future::Ready<Result<u64, CallError>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
            self.0 += 1;
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, n: u64) -> Self::Future {
            ready(Ok(n + self.0))
        }
    }
    let mut service = TimeoutLayer::new(secs(1)).layer(NotClone(0));
    assert_eq!(service.ready().await.expect("ready").call(10).await.expect("it answers"), 11);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_not_timed() {
    let wait = std::sync::Arc::new(std::sync::Mutex::new(Box::pin(sleep(secs(30)))));
    let inner = Counted::new(
        move |cx: &mut Context<'_>| wait.lock().expect("no panic").as_mut().poll(cx).map(Ok),
        |n: u64| ready(Ok::<_, CallError>(n)),
    );
    assert_eq!(TimeoutLayer::new(secs(1)).layer(inner).oneshot(1).await.expect("it answers"), 1);
}

#[tokio::test(start_paused = true)]
async fn it_sets_no_ambient_deadline() {
    let inner = service_fn(|_: u64| async { Ok::<_, CallError>(Deadline::current()) });
    let seen = TimeoutLayer::new(secs(1)).layer(inner).oneshot(1).await.expect("it answers");
    assert!(seen.is_never());
}

// ===== zero and never =====

#[tokio::test(start_paused = true)]
async fn zero_refuses_and_asks_nothing_of_the_inner_service() {
    let inner = Counted::new(at_once, |n: u64| ready(Ok::<_, CallError>(n)));
    let layer = TimeoutLayer::new(Duration::ZERO);
    let error = layer.layer(inner.clone()).oneshot(1).await.expect_err("no time at all");
    assert_eq!(refusal(&error), (TIMEOUT, Phase::Admission));
    assert_eq!(inner.counts(), (0, 0));
    assert_eq!(layer.handle().stats().admission, 1);
}

#[tokio::test(start_paused = true)]
async fn a_zero_that_comes_between_readiness_and_call_strands_nothing() {
    let polled = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = polled.clone();
    let inner = Counted::new(at_once, move |n: u64| {
        let seen = seen.clone();
        async move {
            seen.fetch_add(1, SeqCst);
            Ok::<_, CallError>(n)
        }
    });
    let layer = TimeoutLayer::new(secs(1));
    let mut service = layer.layer(inner.clone());
    service.ready().await.expect("ready");
    layer.handle().set_timeout(Duration::ZERO).expect("every duration means something");
    let error = service.call(1).await.expect_err("no time at all");
    assert_eq!(refusal(&error), (TIMEOUT, Phase::Attempt), "it was called, and may have been sent by that");
    assert_eq!(inner.counts(), (1, 1), "the readied instance was used, so that it keeps no reservation");
    assert_eq!(polled.load(SeqCst), 0, "and its call did nothing");

    // And the other way round: what was not made ready is not called.
    service.ready().await.expect("it is refused in the call");
    layer.handle().set_timeout(secs(1)).expect("every duration means something");
    assert!(service.call(1).await.is_err());
    assert_eq!(inner.counts(), (1, 1));
    assert_eq!(service.ready().await.expect("ready").call(5).await.expect("it answers"), 5);
}

#[tokio::test(start_paused = true)]
async fn never_makes_no_timer() {
    for layer in [TimeoutLayer::new(Duration::MAX), TimeoutLayer::new(Duration::ZERO).bypass()] {
        let mut call = pin!(layer.layer(hangs()).oneshot(1));
        assert!(tokio::time::timeout(secs(1_000_000_000), &mut call).await.is_err());
    }
    assert_eq!(TimeoutLayer::new(Duration::MAX).handle().timeout(), None);
}

#[tokio::test(start_paused = true)]
async fn fresh_ones_have_settings_and_stats_of_their_own() {
    let layer = TimeoutLayer::new(secs(1));
    let fresh = layer.fresh();
    layer.handle().set_timeout(secs(9)).expect("every duration means something");
    assert_eq!(fresh.handle().timeout(), Some(secs(1)));
    assert!(fresh.layer(hangs()).oneshot(1).await.is_err());
    assert_eq!((layer.handle().stats().total(), fresh.handle().stats().total()), (0, 1));
}

// ===== panics and drops =====

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_panic_and_no_timeout() {
    let layer = TimeoutLayer::new(secs(1));
    let mut in_call =
        layer.layer(service_fn(|_: u64| -> std::future::Ready<Result<u64, CallError>> { panic!("call") }));
    let panic = catch_unwind(AssertUnwindSafe(|| drop(in_call.call(1)))).expect_err("a panic");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"call"));

    let inner = service_fn(|n: u64| async move {
        sleep(millis(500)).await;
        assert_ne!(n, 1, "future");
        Ok::<_, CallError>(n)
    });
    assert!(tokio::spawn(layer.layer(inner).oneshot(1)).await.expect_err("a panic").is_panic());
    assert_eq!(layer.handle().stats().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_inner_call_is_dropped_wherever_it_ends() {
    let alive = Alive::default();
    let made = alive.clone();
    let inner = service_fn(move |wait: u64| {
        let token = made.token();
        async move {
            sleep(secs(wait)).await;
            drop(token);
            Ok::<_, CallError>(wait)
        }
    });
    let mut service = TimeoutLayer::new(secs(5)).layer(inner);
    drop(service.call(1));
    assert_eq!(alive.count(), 0, "dropped before the first poll");

    let mut call = Box::pin(service.call(60));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(call);
    assert_eq!(alive.count(), 0, "dropped while pending");

    let mut call = Box::pin(service.call(60));
    assert!(call.as_mut().await.is_err());
    assert_eq!(alive.count(), 0, "given up, though the finished future is alive");

    let made = alive.clone();
    let mut service = TimeoutLayer::new(secs(5)).layer(service_fn(move |_: u64| Holds(made.token())));
    let mut call = Box::pin(service.call(1));
    assert_eq!(alive.count(), 1);
    assert!(call.as_mut().await.is_ok());
    assert_eq!(alive.count(), 0, "answered, though the finished future is alive");
}

#[tokio::test]
async fn a_busy_inner_call_cannot_hide_the_timer() {
    let busy = service_fn(|n: u64| async move {
        let start = Instant::now();
        while start.elapsed() < secs(10) {
            tokio::task::coop::consume_budget().await;
        }
        Ok::<_, CallError>(n)
    });
    let error = TimeoutLayer::new(millis(20)).layer(busy).oneshot(1).await.expect_err("it was cut");
    assert_eq!(refusal(&error), (TIMEOUT, Phase::Attempt));
}
