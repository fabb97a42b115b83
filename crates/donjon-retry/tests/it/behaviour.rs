use std::{
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use donjon_budget::Step;
use donjon_core::{CallError, Fresh, Outcome, Reject, Rejection, RejectionKind, Replay, Scope, Sent};
use donjon_retry::{Backoff, Budget, Jitter, NoRetry, RetryEvent, RetryLayer, Standard};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Reply, Upstream};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn constant(wait: Duration) -> Backoff {
    Backoff::constant(wait).jitter(Jitter::None)
}

#[tokio::test(start_paused = true)]
async fn makes_four_attempts_in_all_by_default() {
    let upstream = Upstream::failing();
    let layer = RetryLayer::default();
    layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(upstream.calls(), 4);
    assert_eq!(layer.handle().stats().retries, 3);
    assert_eq!(layer.handle().stats().gave_up(NoRetry::AttemptsExhausted), 1);
}

#[tokio::test(start_paused = true)]
async fn zero_and_one_attempts_both_send_once() {
    for attempts in [0, 1] {
        let upstream = Upstream::failing();
        let layer = RetryLayer::default().max_attempts(attempts);
        layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
        assert_eq!(upstream.calls(), 1);
        assert_eq!(layer.handle().stats().gave_up(NoRetry::Disabled), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn stops_at_the_first_success() {
    let upstream = Upstream::replies([Reply::Fail, Reply::Fail]);
    let layer = RetryLayer::default();
    assert_eq!(layer.layer(upstream.clone()).oneshot(1_u64).await.expect("the third works"), 2);
    let stats = layer.handle().stats();
    assert_eq!((stats.retries, stats.recovered, stats.failed(), stats.retrying), (2, 1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_attempt_is_in_the_scope_and_starts_anew_inside_of_another_retry() {
    let upstream = Upstream::failing();
    let retry = RetryLayer::default().layer(upstream.clone());
    retry.clone().oneshot(1_u64).await.expect_err("it is down");
    let attempts = |upstream: &Upstream| upstream.arrivals().iter().map(|it| it.attempt).collect::<Vec<_>>();
    assert_eq!(attempts(&upstream), [1, 2, 3, 4]);

    Scope::current().with_attempt(7).wrap(retry.oneshot(1_u64)).await.expect_err("it is down");
    assert_eq!(attempts(&upstream)[4..], [1, 2, 3, 4]);
    assert_eq!(Scope::current().attempt(), 1, "nothing leaks out");
}

#[tokio::test(start_paused = true)]
async fn the_attempt_is_in_the_scope_of_each_poll() {
    let polled = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&polled);
    let upstream = service_fn(move |_: u64| {
        let seen = Arc::clone(&seen);
        async move {
            tokio::task::yield_now().await;
            seen.lock().unwrap().push(Scope::current().attempt());
            Err::<(), _>(CallError::new("down"))
        }
    });
    RetryLayer::default().max_attempts(3).layer(upstream).oneshot(1).await.expect_err("it is down");
    assert_eq!(*polled.lock().unwrap(), [1, 2, 3]);
}

/// A request that counts the copies made of it.
#[derive(Debug)]
struct Counted(Arc<AtomicU32>);

impl Replay for Counted {
    fn replay(&self) -> Option<Self> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Some(Self(Arc::clone(&self.0)))
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_moves_the_request() {
    for (attempts, copies) in [(1, 0), (2, 1), (3, 2), (4, 3)] {
        let counter = Arc::new(AtomicU32::new(0));
        let layer = RetryLayer::default().max_attempts(attempts);
        let upstream = Upstream::failing();
        layer.layer(upstream.clone()).oneshot(Counted(Arc::clone(&counter))).await.expect_err("it is down");
        assert_eq!(upstream.calls(), attempts as usize);
        assert_eq!(counter.load(Ordering::Relaxed), copies, "{attempts} attempts");
    }
}

/// Neither is `Clone`.
#[derive(Debug)]
struct Single(u8);
#[derive(Debug)]
struct Failed(Rejection);

impl Replay for Single {
    fn replay(&self) -> Option<Self> {
        (self.0 < 200).then_some(Self(self.0))
    }

    fn refusal(&self) -> Option<&'static str> {
        Some("too-precious")
    }
}

impl Reject for Failed {
    fn from_rejection(rejection: Rejection) -> Self {
        Self(rejection)
    }
    fn as_rejection(&self) -> Option<&Rejection> {
        Some(&self.0)
    }
    fn as_error(&self) -> &(dyn std::error::Error + 'static) {
        &self.0
    }
}

#[tokio::test(start_paused = true)]
async fn neither_request_nor_error_need_be_clone_and_the_request_may_say_no() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let upstream = service_fn(move |_: Single| {
        counted.fetch_add(1, Ordering::Relaxed);
        ready(Err::<(), _>(Failed(Rejection::new(RejectionKind::Overloaded, "test"))))
    });
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&reasons);
    let layer = RetryLayer::default().on_event(move |event| {
        if let RetryEvent::GaveUp { reason, .. } = event {
            seen.lock().unwrap().push(*reason);
        }
    });
    layer.layer(upstream.clone()).oneshot(Single(1)).await.expect_err("refused");
    assert_eq!(calls.swap(0, Ordering::Relaxed), 4);
    layer.layer(upstream).oneshot(Single(200)).await.expect_err("refused");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(*reasons.lock().unwrap(), [NoRetry::AttemptsExhausted, NoRetry::NotReplayable("too-precious")]);
    assert_eq!(layer.handle().stats().gave_up(NoRetry::NotReplayable("")), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_idempotent_repeats_only_if_the_peer_cannot_have_acted() {
    let layer = RetryLayer::new(Standard::new().not_idempotent());
    let failing = Upstream::failing();
    layer.layer(failing.clone()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(failing.calls(), 1);
    assert_eq!(layer.handle().stats().gave_up(NoRetry::NotIdempotent), 1);

    let refusing = Upstream::new(|_| Reply::Refuse(None));
    layer.layer(refusing.clone()).oneshot(1_u64).await.expect_err("refused");
    assert_eq!(refusing.calls(), 4);

    // Unsent, and then possibly sent: that is the end.
    let both = Upstream::replies([Reply::Refuse(None), Reply::Fail]);
    layer.layer(both.clone()).oneshot(1_u64).await.expect_err("it failed");
    assert_eq!(both.calls(), 2);

    let unsent =
        RetryLayer::new(Standard::new().not_idempotent()).classify(|result: Result<&u64, &CallError>| match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Transient { sent: Sent::NotSent, retry_after: None },
        });
    let failing = Upstream::failing();
    unsent.layer(failing.clone()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(failing.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_another_attempt_cannot_change_is_not_repeated() {
    for outcome in [Outcome::Permanent, Outcome::Cancelled] {
        let layer = RetryLayer::default().classify(move |_: Result<&u64, &CallError>| outcome);
        let upstream = Upstream::failing();
        layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
        assert_eq!(upstream.calls(), 1);
        assert_eq!(layer.handle().stats().gave_up(NoRetry::NotRetryable), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_can_be_a_failure() {
    let layer = RetryLayer::default().classify(|result: Result<&u64, &CallError>| match result {
        Ok(2..) => Outcome::Success,
        _ => Outcome::Transient { sent: Sent::Answered, retry_after: None },
    });
    let upstream = Upstream::replies([]);
    assert_eq!(layer.layer(upstream.clone()).oneshot(1_u64).await.expect("answered"), 2);
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn waits_are_jittered_and_the_seed_repeats_them() {
    async fn run(layer: RetryLayer) -> Vec<u128> {
        let upstream = Upstream::failing();
        layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
        upstream.millis()
    }
    let backoff = Backoff::exponential(Duration::from_secs(100), Duration::from_secs(10_000));
    let layer = |seed| RetryLayer::default().backoff(backoff).seed(seed);
    let first = run(layer(1)).await;
    assert_eq!(run(layer(1)).await, first);
    assert_ne!(run(layer(2)).await, first);
    assert_eq!(run(layer(1).fresh()).await, first, "a fresh layer begins its seed anew");
    for (retry, wait) in (1..).zip(first.windows(2).map(|at| at[1] - at[0])) {
        assert!(wait <= backoff.delay(&Step::new(retry), u64::MAX).as_millis() + 1);
    }
    assert!(first.windows(2).any(|at| at[0] != at[1]), "no pause at all");
}

#[tokio::test(start_paused = true)]
async fn decorrelated_waits_follow_the_wait_before() {
    let backoff = Backoff::exponential(MS(100), Duration::from_secs(100)).jitter(Jitter::Decorrelated);
    let upstream = Upstream::failing();
    let layer = RetryLayer::default().backoff(backoff).seed(3);
    layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
    let at = upstream.millis();
    let waits: Vec<_> = at.windows(2).map(|at| at[1] - at[0]).collect();
    assert!(waits[0] > 101 && waits[0] <= 301, "{waits:?}: the first is spread too");
    assert!(waits.windows(2).all(|pair| pair[1] >= 100 && pair[1] <= 3 * pair[0] + 1), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_refusal_asks_for_is_waited_for_in_full_and_counts_from_the_failure() {
    let upstream = Upstream::replies([Reply::Refuse(Some(MS(1500)))]);
    let layer = RetryLayer::default().backoff(constant(MS(20)));
    layer.layer(upstream.clone()).oneshot(1_u64).await.expect("the second works");
    assert_eq!(upstream.millis(), [0, 1520], "the jitter is on top");
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_zero_goes_on_at_once() {
    let upstream = Upstream::failing();
    let layer = RetryLayer::default().backoff(constant(Duration::ZERO));
    let mut call = tokio_test(layer.layer(upstream.clone()), 1);
    assert!(call.is_ready(), "one poll makes all four attempts");
    call = tokio_test(layer.layer(upstream.clone()), 2);
    assert!(call.is_ready());
    assert_eq!(upstream.calls(), 8);
}

/// Polls a call once.
fn tokio_test<S: Service<u64>>(mut service: S, req: u64) -> std::task::Poll<Result<S::Response, S::Error>> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    std::pin::pin!(service.call(req)).poll(&mut cx)
}

#[tokio::test(start_paused = true)]
async fn rtt_scaled_waits_follow_the_measured_time() {
    let upstream = Upstream::new(|_| Reply::FailAfter(MS(10)));
    let layer = RetryLayer::default().backoff(Backoff::rtt_scaled().jitter(Jitter::None)).max_attempts(5);
    layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(upstream.millis(), [0, 50, 140, 310, 570], "10 ms each, then 40, 80, 160, 250");
}

#[tokio::test(start_paused = true)]
async fn rtt_shared_waits_follow_the_callers_now_retrying() {
    let upstream = Upstream::new(|_| Reply::FailAfter(MS(40)));
    let layer = RetryLayer::default().backoff(Backoff::rtt_shared().jitter(Jitter::None)).max_attempts(2);
    let call = || layer.layer(upstream.clone()).oneshot(1_u64);
    let _ = tokio::join!(call(), call(), call());
    assert_eq!(upstream.millis(), [0, 0, 0, 50, 60, 70], "40 ms, then 10 for each caller that is retrying by then");
    assert_eq!(layer.handle().stats().retrying, 0);
}

#[tokio::test(start_paused = true)]
async fn tells_each_event_in_order() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let layer = RetryLayer::default()
        .backoff(constant(MS(5)))
        .on_event(move |event| seen.lock().unwrap().push(format!("{event:?}")));
    let upstream = Upstream::replies([Reply::Ok, Reply::Fail, Reply::Ok]);
    layer.layer(upstream.clone()).oneshot(1_u64).await.expect("the first works");
    layer.layer(upstream).oneshot(1_u64).await.expect("the second works");
    let outcome = "outcome: Transient { sent: Unknown, retry_after: None }";
    assert_eq!(
        *events.lock().unwrap(),
        [format!("Retrying {{ attempt: 1, {outcome}, wait: 5ms }}"), "Recovered { attempts: 2 }".to_owned()]
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_can_be_changed_while_running() {
    let upstream = Upstream::failing();
    let layer = RetryLayer::default();
    let service = layer.layer(upstream.clone());
    layer.handle().set_max_attempts(2).expect("each number means something");
    service.clone().oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(upstream.calls(), 2);
    layer.handle().set_max_attempts(0).expect("each number means something");
    service.oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_setter_changes_no_clone_that_was_taken_before() {
    let upstream = Upstream::failing();
    let layer = RetryLayer::default();
    let fewer = layer.clone().max_attempts(2);
    layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(upstream.calls(), 4);
    fewer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(upstream.calls(), 6);
}

#[tokio::test(start_paused = true)]
async fn bypass_calls_once_and_counts_nothing() {
    let upstream = Upstream::failing();
    let layer = RetryLayer::default().budget(Budget::builder().initial(0).build()).bypass();
    layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(upstream.calls(), 1);
    assert_eq!(layer.handle().stats().failed(), 0);
}

#[tokio::test(start_paused = true)]
async fn applications_and_clones_share_budget_and_counters_and_fresh_does_not() {
    let layer = RetryLayer::default().budget(Budget::builder().capacity(4).build());
    let upstream = Upstream::failing();
    layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
    layer.clone().layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(upstream.calls(), 2 + 4, "four tokens for both");
    assert_eq!(layer.handle().stats().gave_up(NoRetry::BudgetExhausted), 1);

    let fresh = layer.fresh();
    fresh.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(upstream.calls(), 6 + 4);
    assert_eq!(fresh.handle().stats().retries, 3);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_service_that_is_broken_by_then_ends_with_its_error() {
    // Ready for the first call alone.
    #[derive(Clone)]
    struct Once(Upstream);
    impl Service<u64> for Once {
        type Response = u64;
        type Error = CallError;
        type Future = <Upstream as Service<u64>>::Future;
        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), CallError>> {
            std::task::Poll::Ready(if self.0.calls() == 0 { Ok(()) } else { Err(CallError::new("closed")) })
        }
        fn call(&mut self, req: u64) -> Self::Future {
            self.0.call(req)
        }
    }
    let upstream = Upstream::failing();
    let layer = RetryLayer::default();
    let error = layer.layer(Once(upstream.clone())).oneshot(1).await.expect_err("it is closed");
    assert_eq!(error.to_string(), "closed");
    assert_eq!(upstream.calls(), 1);
    assert_eq!(layer.handle().stats().gave_up(NoRetry::NotReady), 1);
    assert_eq!(layer.handle().budget().stats().tokens, 24.0, "what was not sent is not paid for");
}

#[tokio::test(start_paused = true)]
async fn waits_are_spread_by_default_and_the_same_seed_spreads_them_the_same() {
    async fn waits(layer: RetryLayer) -> Vec<u128> {
        let upstream = Upstream::failing();
        layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
        upstream.millis()
    }
    let layer = || RetryLayer::default().backoff(Backoff::exponential(Duration::from_secs(10), Duration::MAX));
    let seven = layer().seed(7);
    let first = waits(seven.clone()).await;
    assert_ne!(waits(seven.clone()).await, first, "the seed is for the layer, not for each call");
    assert_eq!(waits(seven.fresh()).await, first);
    assert_eq!(waits(layer().seed(7).max_attempts(4)).await, first, "in whichever order it is said");
    assert_ne!(waits(layer().seed(8)).await, first);
    assert_ne!(waits(layer()).await, waits(layer()).await);
}

#[tokio::test(start_paused = true)]
async fn the_largest_number_of_attempts_is_bounded_by_the_budget_alone() {
    let upstream = Upstream::failing();
    let layer = RetryLayer::default().max_attempts(u32::MAX);
    layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(upstream.calls(), 1 + 24);
    assert_eq!(layer.handle().stats().gave_up(NoRetry::BudgetExhausted), 1);
}

#[tokio::test(start_paused = true)]
async fn one_retry_inside_of_another_counts_its_own_attempts_and_pays_for_its_own() {
    let upstream = Upstream::failing();
    let (outer, inner) = (RetryLayer::default().max_attempts(2), RetryLayer::default().max_attempts(3));
    outer.layer(inner.layer(upstream.clone())).oneshot(1_u64).await.expect_err("it is down");
    let attempts: Vec<_> = upstream.arrivals().iter().map(|it| it.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 1, 2, 3]);
    let sent = [outer, inner].map(|layer| (layer.handle().stats().retries, layer.handle().budget().stats().tokens));
    assert_eq!(sent, [(1, 23.0), (4, 20.0)]);
}
