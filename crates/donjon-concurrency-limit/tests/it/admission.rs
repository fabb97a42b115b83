//! Who is admitted, who waits, for how long and in which order, and who is refused.

use std::time::Duration;

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{Phase, Rejection, RejectionKind::Overloaded};
use donjon_test::Readiness;
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{call, held, made, numbers, pending, refusal};

#[tokio::test(start_paused = true)]
async fn a_limit_of_nought_refuses_all() {
    let layer = ConcurrencyLimitLayer::new(0).queue(5);
    let (service, _) = held(&layer);
    assert_eq!(refusal(service.oneshot(1).await), (Overloaded, Phase::Admission));
    assert_eq!(layer.handle().stats().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_nought_sheds_what_is_beyond_the_limit() {
    let layer = ConcurrencyLimitLayer::new(2).queue(0);
    let (service, handle) = held(&layer);
    let mut running = pending(&service, 0..2);
    assert_eq!(refusal(assert_ready!(call(&service, 2).poll())), (Overloaded, Phase::Admission));
    handle.release_all();
    assert_ready_ok!(running[0].poll());
    assert_pending!(call(&service, 3).poll());
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_nought_does_not_wait() {
    let layer = ConcurrencyLimitLayer::new(1).queue(5).max_wait(Duration::ZERO);
    let (service, _) = held(&layer);
    let _running = pending(&service, [0]);
    assert_eq!(refusal(assert_ready!(call(&service, 1).poll())), (Overloaded, Phase::Admission));
    assert_eq!(layer.handle().stats().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn the_queue_has_a_bound() {
    let layer = ConcurrencyLimitLayer::new(2).queue(3);
    let (service, handle) = held(&layer);
    let mut calls = pending(&service, 0..5);
    assert_eq!(refusal(assert_ready!(call(&service, 5).poll())), (Overloaded, Phase::Admission));

    // One leaves, one is admitted, and so one more may wait.
    handle.release(1);
    assert_ready_ok!(calls[0].poll());
    assert_pending!(call(&service, 6).poll());
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_length_and_time_unless_said() {
    let layer = ConcurrencyLimitLayer::new(4);
    let (service, _) = held(&layer);
    let _calls = pending(&service, 0..11);
    let start = Instant::now();
    let last = tokio::spawn(service.clone().oneshot(11));
    tokio::task::yield_now().await;
    assert_eq!(refusal(service.oneshot(12).await), (Overloaded, Phase::Admission));
    assert_eq!(refusal(last.await.unwrap()), (Overloaded, Phase::Queue));
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_after_the_longest_wait_counted_from_the_call() {
    let layer = ConcurrencyLimitLayer::new(1).max_wait(Duration::from_millis(250));
    let (service, _) = held(&layer);
    let _running = pending(&service, [0]);
    let waits = made(&service, 1).into_inner();
    tokio::time::advance(Duration::from_millis(100)).await;
    let start = Instant::now();
    assert_eq!(refusal(waits.await), (Overloaded, Phase::Queue));
    assert_eq!(start.elapsed(), Duration::from_millis(150));
    let stats = layer.handle().stats();
    assert_eq!((stats.timed_out, stats.refused, stats.queued), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn clones_of_a_layer_may_wait_differently() {
    let patient = ConcurrencyLimitLayer::new(1).max_wait(Duration::from_secs(10));
    let hasty = patient.clone().max_wait(Duration::from_millis(5));
    let _running = pending(&held(&patient).0, [0]);
    let start = Instant::now();
    refusal(held(&hasty).0.oneshot(1).await);
    assert_eq!(start.elapsed(), Duration::from_millis(5));
    refusal(held(&patient).0.oneshot(2).await);
    assert_eq!(start.elapsed(), Duration::from_millis(10_005));
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_the_order_of_their_calls() {
    let layer = ConcurrencyLimitLayer::new(1).queue(10);
    let (service, handle) = held(&layer);
    let mut running = pending(&service, [100]);
    // Made in one order and polled in the other.
    let mut waiting: Vec<_> = (0..5).map(|n| made(&service, n)).collect();
    for call in waiting.iter_mut().rev() {
        assert_pending!(call.poll());
    }
    handle.release(1);
    assert_ready_ok!(running[0].poll());
    for (n, call) in waiting.iter_mut().enumerate() {
        assert!(call.is_woken(), "call {n} is next");
        assert_pending!(call.poll());
        handle.release(1);
        assert_ready_ok!(call.poll());
    }
    assert_eq!(numbers(&handle), [100, 0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_does_not_pass_those_who_wait() {
    let layer = ConcurrencyLimitLayer::new(1).queue(10);
    let (service, handle) = held(&layer);
    let mut running = pending(&service, [0]);
    let mut waits = pending(&service, [1]);
    handle.release_all();
    assert_ready_ok!(running[0].poll());
    // The permit is free, and the one who waits has not yet been polled.
    let mut newcomer = call(&service, 2);
    assert_pending!(newcomer.poll());
    assert_eq!(layer.handle().stats().in_flight, 1);
    assert_pending!(waits[0].poll());
    assert_eq!(numbers(&handle), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_caller_leaves_nothing_behind() {
    let layer = ConcurrencyLimitLayer::new(1).queue(0);
    let (service, handle) = held(&layer);
    let mut running = pending(&service, [0]);
    let mut refused = Vec::new();
    for n in 1..20 {
        let mut clone = service.clone();
        refusal(clone.ready().await.unwrap().call(n).await);
        clone.ready().await.unwrap();
        // Idle, ready, and alive to the end.
        refused.push(clone);
    }
    handle.release_all();
    assert_ready_ok!(running[0].poll());
    let mut next = call(&service, 20);
    assert_pending!(next.poll());
    assert_eq!(numbers(&handle), [0, 20]);
}

#[tokio::test(start_paused = true)]
async fn what_the_readied_instance_has_reserved_is_given_back_when_the_call_queues_or_is_refused() {
    let layer = ConcurrencyLimitLayer::new(1).queue(1);
    let (service, handle) = held(&layer);
    let _running = pending(&service, [0]);
    let (mut queues, mut refused) = (service.clone(), service.clone());
    let queued = queues.ready().await.unwrap().call(1);
    assert_eq!(handle.stats().reserved, 0, "a reservation of a call that waits");
    let shed = refused.ready().await.unwrap().call(2);
    assert_eq!(handle.stats().reserved, 0, "a reservation of a call that was refused");
    drop((queued, shed));
    assert_eq!(handle.violations(), []);
}

#[tokio::test(start_paused = true)]
async fn idle_clones_that_are_ready_hold_nothing() {
    let layer = ConcurrencyLimitLayer::new(1).queue(0);
    let (service, handle) = held(&layer);
    let mut idle: Vec<_> = (0..10).map(|_| service.clone()).collect();
    for clone in &mut idle {
        clone.ready().await.unwrap();
    }
    let _running = pending(&service, [0]);
    assert_eq!(numbers(&handle), [0]);
}

#[tokio::test(start_paused = true)]
async fn polls_are_bounded_by_wakes() {
    let layer = ConcurrencyLimitLayer::new(1).queue(100);
    let (service, handle) = held(&layer);
    let mut calls = pending(&service, 0..50);
    let mut polls = calls.len();
    for n in 0..50 {
        handle.release(1);
        // Only the one that ends is woken, and then only the one that follows it.
        for woken in [n, n + 1] {
            let awake: Vec<_> = (0..50).filter(|&i| calls[i].is_woken()).collect();
            assert_eq!(awake, if woken < 50 { vec![woken] } else { vec![] });
            if woken < 50 {
                polls += 1;
                let _ = calls[woken].poll();
            }
        }
    }
    assert_eq!(numbers(&handle), (0..50).collect::<Vec<_>>());
    assert_eq!(polls, 50 + 50 + 49);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_served_without_any_time_passing() {
    let layer = ConcurrencyLimitLayer::new(3).queue(1000).max_wait(Duration::from_secs(1));
    let service = layer.layer(service_fn(|n: u64| async move {
        tokio::task::yield_now().await;
        Ok::<_, Rejection>(n)
    }));
    let start = Instant::now();
    let calls: Vec<_> = (0..500).map(|n| tokio::spawn(service.clone().oneshot(n))).collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), n as u64);
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "a wake-up was lost, and a timer has hidden it");
    let stats = layer.handle().stats();
    assert_eq!((stats.max_in_flight, stats.admitted, stats.in_flight, stats.queued), (3, 500, 0, 0));
}

#[test]
fn no_timer_is_armed_unless_a_call_waits_for_a_time() {
    // A timer panics on this runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let layer = ConcurrencyLimitLayer::new(1).max_wait(Duration::MAX);
        let (service, handle) = held(&layer);
        let mut running = pending(&service, [0]);
        let mut waits = pending(&service, [1]);
        handle.release(1);
        assert_ready_ok!(running[0].poll());
        assert_pending!(waits[0].poll());
        handle.release(1);
        assert_ready_ok!(waits[0].poll());
    });
}

#[tokio::test(start_paused = true)]
async fn the_largest_settings_mean_something() {
    let layer = ConcurrencyLimitLayer::new(usize::MAX).queue(usize::MAX).max_wait(Duration::MAX);
    let (service, _) = held(&layer);
    let _calls = pending(&service, 0..100);
    let stats = layer.handle().stats();
    assert_eq!((stats.max, stats.queue, stats.in_flight), (16_777_215, 16_777_215, 100));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_not_called() {
    let layer = ConcurrencyLimitLayer::new(1);
    let (mut service, handle) = held(&layer);
    handle.set_readiness(Readiness::Pending);
    let mut ready = tokio_test::task::spawn(());
    ready.enter(|cx, _| assert_pending!(service.poll_ready(cx)));
    handle.set_readiness(Readiness::Fail);
    ready.enter(|cx, _| assert!(assert_ready!(service.poll_ready(cx)).is_err()));
    assert_eq!(layer.handle().stats().admitted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_queued_call_readies_a_clone_of_its_own() {
    let layer = ConcurrencyLimitLayer::new(1);
    let (service, handle) = held(&layer);
    let mut running = pending(&service, [0]);
    let mut waits = pending(&service, [1]);
    handle.set_readiness(Readiness::Slow);
    handle.release_all();
    assert_ready_ok!(running[0].poll());
    assert_pending!(waits[0].poll());
    assert_eq!(numbers(&handle), [0], "its clone is not ready yet");
    assert!(waits[0].is_woken());
    assert_pending!(waits[0].poll());
    assert_eq!(numbers(&handle), [0, 1]);
    assert_eq!(handle.violations(), []);
}

#[tokio::test(start_paused = true)]
async fn with_two_lanes_the_late_are_served_last_and_the_hopeless_refused() {
    let layer = ConcurrencyLimitLayer::new(1).queue(10).two_lane(Duration::from_millis(10));
    let (service, handle) = held(&layer);
    let mut running = pending(&service, [0]);
    let mut hopeless = pending(&service, [1]);
    tokio::time::advance(Duration::from_millis(60)).await;
    let mut late = pending(&service, [2]);
    tokio::time::advance(Duration::from_millis(40)).await;
    let mut fresh = pending(&service, [3]);
    handle.release(1);
    assert_ready_ok!(running[0].poll());
    assert!(fresh[0].is_woken());
    assert_pending!(fresh[0].poll());
    handle.release(1);
    assert_ready_ok!(fresh[0].poll());
    assert!(late[0].is_woken() && !hopeless[0].is_woken());
    assert_pending!(late[0].poll());
    handle.release(1);
    assert_ready_ok!(late[0].poll());
    assert_eq!(refusal(assert_ready!(hopeless[0].poll())), (Overloaded, Phase::Queue));
    assert_eq!(numbers(&handle), [0, 3, 2]);
    assert_eq!(layer.handle().stats().refused, 1);
}

#[test]
fn the_future_is_that_of_the_inner_service_and_two_words() {
    let inner = service_fn(|n: u64| async move {
        let kept = [n; 16];
        tokio::task::yield_now().await;
        Ok::<_, Rejection>(kept[3])
    });
    let mut limited = ConcurrencyLimitLayer::new(1).layer(inner);
    let bare = limited.inner_mut().call(1);
    assert!(size_of_val(&limited.call(1)) <= size_of_val(&bare) + 2 * size_of::<usize>());
}
