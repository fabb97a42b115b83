//! Nothing waits or starts after its deadline.

use std::time::Duration;

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{
    Deadline, Phase,
    RejectionKind::{DeadlineExceeded, Overloaded},
};
use donjon_test::Readiness;
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};
use tower::ServiceExt;

use crate::support::{held, numbers, pending, refusal};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_is_refused_at_the_door() {
    let layer = ConcurrencyLimitLayer::new(1);
    let (service, handle) = held(&layer);
    for deadline in [Deadline::at(Instant::now()), Deadline::after(Duration::ZERO)] {
        let mut call = tokio_test::task::spawn(deadline.scope(service.clone().oneshot(1)));
        assert_eq!(refusal(assert_ready!(call.poll())), (DeadlineExceeded, Phase::Admission));
    }
    assert_eq!(handle.stats().calls, 0);
    let stats = layer.handle().stats();
    assert_eq!((stats.refused, stats.admitted), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_the_deadline_if_that_comes_first() {
    let layer = ConcurrencyLimitLayer::new(1).max_wait(ms(250));
    let (service, _) = held(&layer);
    let _running = pending(&service, [0]);
    for (timeout, refused, after) in
        [(Some(ms(100)), DeadlineExceeded, ms(100)), (Some(ms(900)), Overloaded, ms(250)), (None, Overloaded, ms(250))]
    {
        let start = Instant::now();
        let deadline = timeout.map_or(Deadline::never(), Deadline::after);
        let result = deadline.scope(service.clone().oneshot(1)).await;
        assert_eq!(refusal(result), (refused, Phase::Queue));
        assert_eq!(start.elapsed(), after);
    }
    assert_eq!(layer.handle().stats().timed_out, 3);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_too_late_starts_nothing_and_passes_to_the_next() {
    let layer = ConcurrencyLimitLayer::new(1);
    let (service, handle) = held(&layer);
    let mut running = pending(&service, [0]);
    let mut late = tokio_test::task::spawn(Deadline::after(ms(10)).scope(service.clone().oneshot(1)));
    assert_pending!(late.poll());
    let mut next = pending(&service, [2]);
    handle.release(1);
    assert_ready_ok!(running[0].poll());
    advance(ms(10)).await;
    assert_eq!(refusal(assert_ready!(late.poll())), (DeadlineExceeded, Phase::Queue));
    assert_pending!(next[0].poll());
    assert_eq!(numbers(&handle), [0, 2]);
    let stats = layer.handle().stats();
    assert_eq!((stats.in_flight, stats.timed_out), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_comes_with_the_end_of_the_longest_wait_is_taken() {
    let layer = ConcurrencyLimitLayer::new(1).max_wait(ms(10));
    let (service, handle) = held(&layer);
    let mut running = pending(&service, [0]);
    let mut waits = pending(&service, [1]);
    advance(ms(10)).await;
    handle.release(1);
    assert_ready_ok!(running[0].poll());
    assert_pending!(waits[0].poll());
    assert_eq!(numbers(&handle), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_admitted_call_whose_clone_is_not_ready_ends_at_the_deadline() {
    let layer = ConcurrencyLimitLayer::new(1).max_wait(ms(10));
    let (service, handle) = held(&layer);
    let running = pending(&service, [0]);
    let start = Instant::now();
    let mut late = tokio_test::task::spawn(Deadline::after(ms(50)).scope(service.clone().oneshot(1)));
    assert_pending!(late.poll());
    handle.set_readiness(Readiness::Pending);
    drop(running);
    assert_pending!(late.poll());
    assert_eq!(refusal(late.into_inner().await), (DeadlineExceeded, Phase::Ready));
    assert_eq!(start.elapsed(), ms(50), "not after the longest wait: that was over");
    assert_eq!(layer.handle().stats().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn an_admitted_call_whose_clone_gets_ready_after_the_deadline_does_not_start() {
    let layer = ConcurrencyLimitLayer::new(1);
    let (service, handle) = held(&layer);
    let running = pending(&service, [0]);
    let mut late = tokio_test::task::spawn(Deadline::after(ms(50)).scope(service.clone().oneshot(1)));
    assert_pending!(late.poll());
    handle.set_readiness(Readiness::Pending);
    drop(running);
    assert_pending!(late.poll());
    advance(ms(60)).await;
    handle.set_readiness(Readiness::Ready);
    assert_eq!(refusal(assert_ready!(late.poll())), (DeadlineExceeded, Phase::Ready));
    assert_eq!(numbers(&handle), [0]);
    assert_eq!(layer.handle().stats().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn the_inner_call_sees_the_deadline_of_its_caller_though_it_has_waited() {
    let layer = ConcurrencyLimitLayer::new(1);
    let (service, handle) = held(&layer);
    let running = pending(&service, [0]);
    let deadline = Deadline::after(ms(500));
    let mut waits = tokio_test::task::spawn(deadline.scope(service.clone().oneshot(1)));
    assert_pending!(waits.poll());
    drop(running);
    assert_pending!(waits.poll());
    assert_eq!(handle.started()[1].deadline, deadline);
}
