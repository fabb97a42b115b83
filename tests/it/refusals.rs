//! What a retry makes of the refusals of other layers.

use std::{sync::Arc, time::Duration};

use donjon::{BreakerLayer, CallError, Deadline, Rate, RateLimitLayer, Reject, Rejection, RetryLayer, retry};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn what_a_rate_has_refused_for_good_is_not_tried_again() {
    let retry = RetryLayer::new(retry::Standard::new()).max_attempts(4);
    let rate = RateLimitLayer::new(Rate::per_second(1).burst(1)).cost(|_: &u64| 2);
    let service = retry.layer(rate.layer(service_fn(async |n: u64| Ok::<_, CallError>(n))));
    service.oneshot(1).await.expect_err("it costs more than there can ever be");
    assert_eq!((rate.handle().stats().refused, retry.handle().stats().retries), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_an_open_circuit_refuses_is_not_tried_again_and_takes_no_token() {
    let retry = || RetryLayer::new(retry::Standard::new()).max_attempts(4);
    let breaker = BreakerLayer::new();
    breaker.handle().force_open();
    let layer = retry();
    let stack = ServiceBuilder::new().layer(layer.clone()).layer(breaker);
    let service = stack.service(service_fn(async |n: u64| Ok::<_, CallError>(n)));
    let full = layer.handle().budget().stats().tokens;
    for _ in 0..60 {
        service.clone().oneshot(1).await.expect_err("it is open");
    }
    assert_eq!((layer.handle().stats().retries, layer.handle().budget().stats().tokens), (0, full));

    // Nor by those who had joined the call that was refused.
    let open = Rejection::new(donjon::RejectionKind::CircuitOpen, "breaker").with_retry_after(Duration::from_secs(1));
    let joined = service_fn(move |_: u64| {
        let shared = Rejection::shared("coalesce", open.outcome(), Arc::new(open.clone()));
        std::future::ready(Err::<u64, _>(CallError::from_rejection(shared)))
    });
    let layer = retry();
    layer.layer(joined).oneshot(1).await.expect_err("it is open");
    assert_eq!(layer.handle().stats().retries, 0);
}

/// The deadline was that of whoever drove the call, and this caller has a later one.
#[tokio::test(start_paused = true)]
async fn who_had_joined_a_call_that_had_too_little_time_tries_again_with_his_own() {
    let late = Rejection::new(donjon::RejectionKind::DeadlineExceeded, "concurrency-limit");
    let calls = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let joined = service_fn(move |n: u64| {
        let is_first = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        let shared = Rejection::shared("coalesce", late.outcome(), Arc::new(late.clone()));
        std::future::ready(if is_first { Err(CallError::from_rejection(shared)) } else { Ok(n) })
    });
    let retry = RetryLayer::new(retry::Standard::new());
    let call = Deadline::after(Duration::from_secs(30)).scope(retry.layer(joined).oneshot(7));
    assert_eq!(call.await.expect("the second call is his own"), 7);
}
