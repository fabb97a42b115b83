//! Whatever is dropped, and whenever: everything is given back, and whoever waits goes on.

use std::{panic::AssertUnwindSafe, panic::catch_unwind};

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_test::{Readiness, Reply};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok};
use tower::Service;

use crate::support::{Limited, call, held, made, numbers, pending};

/// One permit, a long queue.
fn rig() -> (ConcurrencyLimitLayer, Limited, donjon_test::ProbeHandle) {
    let layer = ConcurrencyLimitLayer::new(1).queue(100);
    let (service, handle) = held(&layer);
    (layer, service, handle)
}

/// In flight, queued, cancelled while queued, cancelled after admission.
fn counts(layer: &ConcurrencyLimitLayer) -> (usize, usize, u64, u64) {
    let stats = layer.handle().stats();
    (stats.in_flight, stats.queued, stats.cancelled_queued, stats.cancelled_running)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_before_its_first_poll_gives_its_permit_back() {
    let (layer, service, _) = rig();
    let unpolled = made(&service, 0);
    assert_eq!(counts(&layer), (1, 0, 0, 0));
    drop(unpolled);
    assert_eq!(counts(&layer), (0, 0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_queued_call_that_is_dropped_before_its_first_poll_gives_its_place_back() {
    let (layer, service, handle) = rig();
    let mut running = pending(&service, [0]);
    let unpolled = made(&service, 1);
    let mut waits = pending(&service, [2]);
    drop(unpolled);
    assert_eq!(counts(&layer), (1, 1, 1, 0));
    handle.release(1);
    assert_ready_ok!(running[0].poll());
    assert_pending!(waits[0].poll());
    assert_eq!(numbers(&handle), [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_gives_its_place_back() {
    // From the front, from the back, from the middle.
    for dropped in [0, 3, 1] {
        let (layer, service, handle) = rig();
        let mut running = pending(&service, [100]);
        let mut waiting = pending(&service, 0..4);
        drop(waiting.remove(dropped));
        assert_eq!(counts(&layer), (1, 3, 1, 0));
        handle.release(1);
        assert_ready_ok!(running[0].poll());
        for call in &mut waiting {
            assert!(call.is_woken());
            assert_pending!(call.poll());
            handle.release(1);
            assert_ready_ok!(call.poll());
        }
        let expected: Vec<_> = [100].into_iter().chain((0..4).filter(|&n| n != dropped as u64)).collect();
        assert_eq!(numbers(&handle), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_leaves_from_the_front_lets_the_last_one_in() {
    let (layer, service, handle) = rig();
    let running = pending(&service, [100]);
    let mut waiting = pending(&service, 0..50);
    for call in waiting.drain(..49) {
        drop(call);
    }
    drop(running);
    assert!(waiting[0].is_woken());
    assert_pending!(waiting[0].poll());
    assert_eq!(numbers(&handle), [100, 49]);
    assert_eq!(counts(&layer), (1, 0, 49, 1));
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_was_granted_and_never_seen_goes_to_the_next() {
    let (layer, service, handle) = rig();
    let running = pending(&service, [0]);
    let mut waiting = pending(&service, [1, 2]);
    drop(running);
    assert!(waiting[0].is_woken());
    drop(waiting.remove(0));
    assert!(waiting[0].is_woken());
    assert_pending!(waiting[0].poll());
    assert_eq!(numbers(&handle), [0, 2]);
    assert_eq!(counts(&layer), (1, 0, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_runs_gives_its_permit_to_the_next() {
    let (layer, service, handle) = rig();
    let running = pending(&service, [0]);
    let mut waits = pending(&service, [1]);
    drop(running);
    assert!(waits[0].is_woken());
    assert_pending!(waits[0].poll());
    assert_eq!(numbers(&handle), [0, 1]);
    drop(waits);
    assert_eq!(counts(&layer), (0, 0, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_ended_holds_nothing_though_its_future_stays_alive() {
    let (layer, service, handle) = rig();
    for reply in [Reply::answer(), Reply::fail()] {
        handle.reply(reply);
        let mut ended = call(&service, 0);
        let _ = assert_ready!(ended.poll());
        assert_eq!(layer.handle().stats().in_flight, 0);
        let mut queued_and_ended = {
            handle.reply(Reply::answer().held());
            let running = pending(&service, [1]);
            let waits = pending(&service, [2]);
            handle.reply(reply);
            drop(running);
            waits
        };
        let _ = assert_ready!(queued_and_ended[0].poll());
        assert_eq!(layer.handle().stats().in_flight, 0);
        drop(ended);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_inner_call_is_a_drop() {
    let (layer, service, handle) = rig();
    let running = pending(&service, [0]);
    let mut waiting = pending(&service, [1, 2]);
    handle.reply(Reply::panic_in_call());
    // At once.
    drop(running);
    let mut panicking = waiting.remove(0);
    assert!(catch_unwind(AssertUnwindSafe(|| panicking.poll())).is_err());
    // In the queue, and its future stays alive.
    let mut next = waiting.remove(0);
    assert!(next.is_woken());
    assert!(catch_unwind(AssertUnwindSafe(|| next.poll())).is_err());
    assert_eq!(layer.handle().stats().in_flight, 0);
    // And at the door.
    let mut service = service.clone();
    tokio_test::task::spawn(()).enter(|cx, _| assert_ready!(service.poll_ready(cx))).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| service.call(3))).is_err());
    assert_eq!(counts(&layer), (0, 0, 0, 4));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_inner_future_is_a_drop() {
    let (layer, service, handle) = rig();
    handle.reply(Reply::panic());
    let mut panicked = call(&service, 0);
    assert!(catch_unwind(AssertUnwindSafe(|| panicked.poll())).is_err());
    // Its future stays alive.
    assert_eq!(counts(&layer), (0, 0, 0, 1));
    handle.reply(Reply::answer());
    assert_ready_ok!(call(&service, 1).poll());
    drop(panicked);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_after_queueing_gives_the_permit_back() {
    let (layer, service, handle) = rig();
    let running = pending(&service, [0]);
    let mut waiting = pending(&service, [1, 2]);
    handle.set_readiness(Readiness::Fail);
    drop(running);
    let error = assert_ready_err!(waiting[0].poll());
    assert!(error.downcast_ref::<donjon_test::ProbeError>().is_some(), "it is the inner service's own: {error}");
    // Its future stays alive, and the next one has its permit.
    assert!(waiting[1].is_woken());
    handle.set_readiness(Readiness::Ready);
    assert_pending!(waiting[1].poll());
    assert_eq!(numbers(&handle), [0, 2]);
    assert_eq!(counts(&layer), (1, 0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_before_its_clone_is_ready_gives_its_permit_back() {
    let (layer, service, handle) = rig();
    let running = pending(&service, [0]);
    let mut waits = pending(&service, [1]);
    handle.set_readiness(Readiness::Pending);
    drop(running);
    assert_pending!(waits[0].poll());
    assert_eq!(layer.handle().stats().in_flight, 1);
    drop(waits);
    assert_eq!(counts(&layer), (0, 0, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_keeps_nobody_else_asleep() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("planned");
        }
    }
    let waker = std::task::Waker::from(std::sync::Arc::new(Panics));
    for panicking in 0..4 {
        let (layer, service, _) = rig();
        let _running = pending(&service, [0]);
        let mut waiting: Vec<_> = (0..4).map(|n| call(&service, n)).collect();
        for (n, call) in waiting.iter_mut().enumerate() {
            if n == panicking {
                let mut cx = std::task::Context::from_waker(&waker);
                assert_pending!(std::future::Future::poll(std::pin::Pin::new(&mut **call), &mut cx));
            } else {
                assert_pending!(call.poll());
            }
        }
        let more = AssertUnwindSafe(|| layer.handle().set_max(5));
        assert!(catch_unwind(more).is_err());
        for (n, call) in waiting.iter_mut().enumerate().filter(|(n, _)| *n != panicking) {
            assert!(call.is_woken(), "{n} sleeps on, with a permit, after the panic of {panicking}");
            assert_pending!(call.poll());
        }
        assert_eq!(layer.handle().stats().in_flight, 5);
        drop(waiting);
        assert_eq!(layer.handle().stats().in_flight, 1);
    }
}
