//! Tokens per time, and what a refusal says.

use std::time::Duration;

use donjon_core::{Deadline, Fresh, Phase, RejectionKind};
use donjon_rate_limit::{Rate, RateLimitLayer};
use tokio::time::{advance, sleep};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{echo, passed, refusal};

const MILLI: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn per_second_n_is_n_tokens_per_second_and_not_one_per_n_seconds() {
    let service = echo(&RateLimitLayer::new(Rate::per_second(20).burst(60)));
    assert_eq!(passed(&service, 100).await, 60, "the burst, at once");
    for _ in 0..5 {
        advance(Duration::from_secs(1)).await;
        assert_eq!(passed(&service, 100).await, 20, "then twenty each second");
    }
    advance(Duration::from_secs(60)).await;
    assert_eq!(passed(&service, 100).await, 60, "never more than the burst");
}

#[tokio::test(start_paused = true)]
async fn units_of_time_are_what_they_say() {
    let hour = Duration::from_secs(3600);
    for (rate, each) in [
        (Rate::per_second(4), Duration::from_millis(250)),
        (Rate::per_minute(4), Duration::from_secs(15)),
        (Rate::per_hour(4), Duration::from_secs(900)),
        (Rate::per(4, 2 * hour), hour / 2),
    ] {
        let service = echo(&RateLimitLayer::new(rate));
        assert_eq!(passed(&service, 10).await, 4, "the burst of {rate} is the tokens of one period");
        advance(each - MILLI).await;
        assert_eq!(passed(&service, 10).await, 0, "{rate}");
        advance(MILLI).await;
        assert_eq!(passed(&service, 10).await, 1, "{rate}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_third_of_a_second_is_exact_in_the_long_run() {
    for tokens in [3, 7, 997, 33_333] {
        let service = echo(&RateLimitLayer::new(Rate::per_second(tokens)));
        advance(Duration::from_millis(137)).await;
        assert_eq!(passed(&service, tokens + 1).await, tokens);
        advance(Duration::from_secs(1)).await;
        assert_eq!(
            passed(&service, tokens + 1).await,
            tokens,
            "all {tokens} are back after a second, to the nanosecond"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nought_refuses_everything_and_never_says_come_back() {
    for rate in [Rate::per_second(0), Rate::per_second(0).burst(5), Rate::per_second(5).burst(0)] {
        let service = echo(&RateLimitLayer::new(rate).max_wait(Duration::from_secs(60)).cost(|cost: &u64| *cost));
        for cost in [0, 1, 2] {
            let refused = refusal(service.clone().oneshot(cost).await);
            assert_eq!(refused, (RejectionKind::RateLimited, Phase::Admission, None), "{rate}");
            advance(Duration::from_secs(3600)).await;
        }
    }
    let no_time = echo(&RateLimitLayer::new(Rate::per(1, Duration::ZERO)));
    assert_eq!(passed(&no_time, 1000).await, 1000, "a token that takes no time is always there");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_when_and_is_right_to_the_nanosecond() {
    let service = echo(&RateLimitLayer::new(Rate::per_second(3).burst(1)));
    assert_eq!(passed(&service, 1).await, 1);
    advance(Duration::from_millis(100)).await;
    let (kind, phase, after) = refusal(service.clone().oneshot(0).await);
    assert_eq!((kind, phase), (RejectionKind::RateLimited, Phase::Admission));
    let after = after.expect("it knows");
    assert_eq!(after, Duration::from_nanos(233_333_334), "a third of a second, rounded up");
    advance(after - Duration::from_nanos(1)).await;
    assert_eq!(passed(&service, 1).await, 0);
    advance(Duration::from_nanos(1)).await;
    assert_eq!(passed(&service, 1).await, 1);
}

#[tokio::test(start_paused = true)]
async fn requests_cost_what_they_cost_and_more_than_the_burst_is_refused_for_good() {
    let limit = RateLimitLayer::new(Rate::per_second(10).burst(5)).cost(|bytes: &u64| *bytes);
    let service = echo(&limit);
    assert!(service.clone().oneshot(4).await.is_ok());
    let refused = refusal(service.clone().oneshot(3).await);
    assert_eq!(refused, (RejectionKind::RateLimited, Phase::Admission, Some(Duration::from_millis(200))));
    assert!(service.clone().oneshot(1).await.is_ok(), "a refused call has taken nothing");
    assert!(service.clone().oneshot(0).await.is_ok(), "what costs nothing passes");
    for cost in [6, u64::MAX] {
        let refused = refusal(service.clone().oneshot(cost).await);
        assert_eq!(refused, (RejectionKind::RateLimited, Phase::Admission, None), "no time to come back");
    }
    assert_eq!((limit.handle().stats().admitted, limit.handle().stats().refused), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn clones_and_applications_share_and_a_fresh_one_does_not() {
    let limit = RateLimitLayer::new(Rate::per_second(1).burst(4));
    let services = [echo(&limit), echo(&limit), echo(&limit.clone()), echo(&limit).clone()];
    let mut all = 0;
    for service in &services {
        all += passed(service, 2).await;
    }
    assert_eq!(all, 4);
    assert_eq!(passed(&echo(&limit.fresh()), 9).await, 4);
    assert_eq!(passed(&echo(&limit.bypass()), 9).await, 9);
    assert_eq!(limit.handle().stats().admitted, 4);
}

#[test]
fn a_limit_is_held_while_a_handle_a_service_or_one_who_waits_is_there() {
    let limit = RateLimitLayer::new(Rate::per_second(1));
    assert!(!limit.is_held());
    let handle = limit.handle();
    assert!(limit.is_held());
    drop(handle);
    let service = echo(&limit);
    assert!(limit.is_held());
    drop(service);
    assert!(!limit.is_held());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_is_told_at_the_door_and_costs_nothing() {
    let limit = RateLimitLayer::new(Rate::per_second(1));
    let service = echo(&limit);
    let call = Deadline::after(Duration::ZERO).scope(async { service.clone().oneshot(1).await });
    assert_eq!(refusal(call.await), (RejectionKind::DeadlineExceeded, Phase::Admission, None));
    assert_eq!(passed(&service, 2).await, 1, "the token is there");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_or_panics_has_spent_its_token() {
    let limit = RateLimitLayer::new(Rate::per_second(1).burst(3));
    let service = limit.layer(service_fn(|n: u64| async move {
        assert_ne!(n, 1, "this one panics");
        sleep(Duration::from_secs(9)).await;
        Ok::<_, donjon_core::CallError>(n)
    }));
    drop(tokio_test::task::spawn(service.clone().oneshot(0)));
    assert_eq!(limit.handle().stats().available, 3, "not before the call");
    let mut running = tokio_test::task::spawn(service.clone().oneshot(0));
    tokio_test::assert_pending!(running.poll());
    drop(running);
    assert!(tokio::spawn(service.clone().oneshot(1)).await.is_err());
    assert_eq!(limit.handle().stats().available, 1);
}

#[test]
fn the_admitted_path_and_a_refusal_at_the_door_allocate_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut service = RateLimitLayer::new(Rate::per_hour(100))
            .layer(service_fn(|n: u64| std::future::ready(Ok::<_, donjon_core::Rejection>(n))));
        let mut outcomes = [0; 2];
        for calls in [1, 99, 50] {
            let counted = allocation_counter::measure(|| {
                for n in 0..calls {
                    let call = std::pin::pin!(tower::Service::call(&mut service, n));
                    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                    match call.poll(&mut cx) {
                        std::task::Poll::Ready(result) => outcomes[usize::from(result.is_err())] += 1,
                        std::task::Poll::Pending => panic!("it waits for nothing"),
                    }
                }
            });
            assert_eq!(counted.count_total, 0);
        }
        assert_eq!(outcomes, [100, 50]);
    });
}
