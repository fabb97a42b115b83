//! The budget in the layer: what is paid for, and what comes back.

use std::time::Duration;

use donjon_core::{CallError, Deadline, Outcome, Ratio, RejectionKind};
use donjon_retry::{Backoff, Budget, Jitter, NoRetry, RetryLayer, Standard};
use tower::{Layer, ServiceExt};

use crate::support::{Reply, Upstream};

fn tokens(layer: &RetryLayer) -> f64 {
    layer.handle().budget().stats().tokens
}

#[tokio::test(start_paused = true)]
async fn a_retry_takes_a_token_and_a_recovery_brings_its_own_back() {
    let layer = RetryLayer::default();
    let upstream = Upstream::replies([Reply::Fail, Reply::Fail, Reply::Ok]);
    layer.layer(upstream).oneshot(1_u64).await.expect("the third works");
    assert_eq!(tokens(&layer), 23.0, "two were taken, one came back");
}

#[tokio::test(start_paused = true)]
async fn a_first_try_success_earns_and_a_recovery_does_not() {
    let layer = RetryLayer::default().budget(Budget::builder().initial(1).build());
    let service = layer.layer(Upstream::replies([Reply::Ok, Reply::Fail, Reply::Ok]));
    service.clone().oneshot(1_u64).await.expect("the first works");
    assert_eq!(tokens(&layer), 1.3);
    service.oneshot(1_u64).await.expect("the second works");
    assert_eq!(tokens(&layer), 1.3);
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_ends_the_call_with_its_own_failure() {
    let layer = RetryLayer::default().budget(Budget::none());
    let upstream = Upstream::failing();
    let error = layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(error.to_string(), "it failed");
    assert_eq!(upstream.calls(), 1);
    assert_eq!(layer.handle().stats().gave_up(NoRetry::BudgetExhausted), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_where_another_reason_ends_the_call() {
    let layer = RetryLayer::default().max_attempts(1);
    layer.layer(Upstream::failing()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(layer.handle().budget().stats().granted, 0);
}

#[tokio::test(start_paused = true)]
async fn layers_may_share_a_budget() {
    let budget = Budget::builder().capacity(3).build();
    let layers = [(); 2].map(|()| RetryLayer::default().budget(budget.clone()));
    let upstream = Upstream::failing();
    for layer in layers {
        layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it is down");
    }
    assert_eq!(upstream.calls(), 2 + 3);
}

#[tokio::test(start_paused = true)]
async fn what_failed_decides_the_price() {
    let budget = || Budget::builder().capacity(100).cost(1).timeout_cost(10).throttled_cost(5).refund(false).build();

    let layer = RetryLayer::default().budget(budget());
    layer.layer(Upstream::replies([Reply::Fail])).oneshot(1_u64).await.expect("the second works");
    assert_eq!(tokens(&layer), 99.0);

    let layer = RetryLayer::default().budget(budget());
    let timeout = Upstream::replies([Reply::Reject(RejectionKind::AttemptTimeout)]);
    layer.layer(timeout).oneshot(1_u64).await.expect("the second works");
    assert_eq!(tokens(&layer), 90.0);

    let layer = RetryLayer::default().budget(budget()).classify(move |result: Result<&u64, &CallError>| match result {
        Ok(0) => Outcome::Throttled { retry_after: None },
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Permanent,
    });
    layer.layer(Upstream::replies([])).oneshot(1_u64).await.expect("the second works");
    assert_eq!(layer.handle().budget().stats().tokens, 95.0);
}

/// grpc-go, test/retry_test.go, TestRetryThrottling, through the layer: at most 10 tokens, ratio 0.5, 4 attempts.
#[tokio::test(start_paused = true)]
async fn t4_grpc_retry_throttling() {
    const OK: [usize; 10] = [0, 3, 6, 10, 11, 12, 13, 14, 16, 18];
    let upstream = Upstream::new(|n| if OK.contains(&n) { Reply::Ok } else { Reply::Fail });
    let layer = RetryLayer::default()
        .budget(Budget::grpc(10, Ratio::new(0.5).expect("a share")))
        .backoff(Backoff::constant(Duration::from_millis(10)).jitter(Jitter::None));
    let service = layer.layer(upstream.clone());
    let mut seen = Vec::new();
    for _ in 0..12 {
        let ok = service.clone().oneshot(1_u64).await.is_ok();
        seen.push((ok, upstream.calls() - 1, tokens(&layer)));
    }
    assert_eq!(
        seen,
        [
            (true, 0, 10.0),
            (true, 3, 8.5),
            (true, 6, 7.0),
            (false, 8, 5.0),
            (false, 9, 4.0),
            (true, 10, 4.5),
            (true, 11, 5.0),
            (true, 12, 5.5),
            (true, 13, 6.0),
            (true, 14, 6.5),
            (true, 16, 6.0),
            (false, 17, 5.0),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn grpc_counts_the_last_failure_too() {
    let layer = RetryLayer::default().max_attempts(2).budget(Budget::grpc(10, Ratio::ZERO));
    layer.layer(Upstream::failing()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(tokens(&layer), 8.0, "two attempts failed");
}

#[tokio::test(start_paused = true)]
async fn grpc_counts_each_failure_whatever_keeps_it_from_being_sent_again() {
    let budget = || Budget::grpc(10, Ratio::ZERO);
    let wait = Backoff::constant(Duration::from_secs(1)).jitter(Jitter::None);

    let once = RetryLayer::default().max_attempts(1).budget(budget());
    once.layer(Upstream::failing()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(tokens(&once), 9.0, "retries are off");

    let late = RetryLayer::default().backoff(wait).budget(budget());
    let call = late.layer(Upstream::failing()).oneshot(1_u64);
    Deadline::after(Duration::from_millis(500)).scope(call).await.expect_err("it is down");
    assert_eq!(tokens(&late), 9.0, "the deadline is too close");

    let unsafe_twice = RetryLayer::new(Standard::new().not_idempotent()).budget(budget());
    unsafe_twice.layer(Upstream::failing()).oneshot(1_u64).await.expect_err("it is down");
    assert_eq!(tokens(&unsafe_twice), 9.0, "not idempotent");

    let refused = RetryLayer::default().max_attempts(1).budget(budget());
    refused.layer(Upstream::new(|_| Reply::Refuse(None))).oneshot(1_u64).await.expect_err("refused");
    assert_eq!(tokens(&refused), 10.0, "what a layer of ours refused is no failure of the service");
}
