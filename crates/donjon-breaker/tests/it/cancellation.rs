//! What a call says that is dropped, at any point.

use std::panic::{AssertUnwindSafe, catch_unwind};

use donjon_breaker::{BreakerLayer, OnCancel, State, Trip};
use donjon_test::Reply;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower::Service;

use crate::support::{Rig, SECOND};

#[tokio::test(start_paused = true)]
async fn calls_that_are_dropped_say_nothing() {
    let mut rig = Rig::new(BreakerLayer::new());
    for _ in 0..100 {
        drop(rig.pending());
    }
    let stats = rig.handle.stats();
    assert_eq!((stats.state, stats.score, stats.cancelled, stats.failures), (State::Closed, 0, 100, 0));
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_dropped_can_count_as_failures() {
    let mut rig = Rig::new(BreakerLayer::new().on_cancel(OnCancel::Fail));
    for _ in 0..7 {
        drop(rig.pending());
    }
    assert_eq!((rig.state(), rig.handle.stats().failures), (State::Open, 7));
    tokio::time::advance(5 * SECOND).await;
    drop(rig.pending());
    assert_eq!(rig.refused(), Some(10 * SECOND), "so can probes");
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_dropped_late_can_count_as_failures() {
    let mut rig = Rig::new(BreakerLayer::new().on_cancel(OnCancel::FailAfter(SECOND)));
    for _ in 0..100 {
        drop(rig.pending());
    }
    assert_eq!(rig.handle.stats().score, 0);
    let calls: Vec<_> = (0..7).map(|_| rig.pending()).collect();
    tokio::time::advance(SECOND - SECOND / 1000).await;
    drop(rig.pending());
    tokio::time::advance(SECOND / 1000).await;
    assert_eq!(rig.state(), State::Closed);
    drop(calls);
    assert_eq!(rig.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_before_its_first_poll_gives_its_place_back() {
    let mut rig = Rig::about_to_probe(BreakerLayer::new().probes(1)).await;
    let mut service = rig.service.clone();
    let mut task = tokio_test::task::spawn(());
    task.enter(|cx, _| assert_ready_ok!(Service::<u64>::poll_ready(&mut service, cx)));
    let unpolled = service.call(1);
    assert_eq!(rig.refused(), None);
    drop(unpolled);
    rig.succeed();
    assert_eq!(rig.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_ended_holds_nothing_though_its_future_stays_alive() {
    let mut rig = Rig::about_to_probe(BreakerLayer::new().probes(2)).await;
    let mut ended = rig.call();
    assert_ready_ok!(ended.poll());
    let mut again = rig.call();
    assert_ready_ok!(again.poll());
    assert_eq!(rig.state(), State::Closed);
    drop((ended, again));
    assert_eq!(rig.handle.stats().cancelled, 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_drop() {
    for reply in [Reply::panic(), Reply::panic_in_call()] {
        let mut rig = Rig::about_to_probe(BreakerLayer::new().probes(1)).await;
        rig.probe.reply_next([reply]);
        let mut call = rig.call();
        assert!(catch_unwind(AssertUnwindSafe(|| call.poll())).is_err());
        assert_eq!((rig.state(), rig.handle.stats().cancelled), (State::HalfOpen, 1));
        rig.succeed();
        assert_eq!(rig.state(), State::Closed);
        drop(call);
        assert_eq!(rig.handle.stats().cancelled, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_classifier_is_a_drop() {
    use tower::{Layer, ServiceExt, service_fn};

    let layer = BreakerLayer::new().trip(Trip::consecutive(1)).open_for(std::time::Duration::ZERO).probes(1).classify(
        |result: Result<&u64, &donjon_core::CallError>| match result {
            Ok(1) => panic!("planned"),
            Ok(_) => donjon_core::Outcome::Success,
            Err(_) => crate::support::FAILED,
        },
    );
    let service = layer.layer(service_fn(|n: u64| {
        std::future::ready(if n == 0 { Err(donjon_core::CallError::new("down")) } else { Ok(n) })
    }));
    let call = |n| tokio_test::task::spawn(service.clone().oneshot(n));
    assert_ready_err!(call(0).poll());
    let mut panics = call(1);
    assert!(catch_unwind(AssertUnwindSafe(|| panics.poll())).is_err());
    assert_ready_ok!(call(2).poll());
    assert_eq!(layer.handle().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_call_outlives_its_service_and_its_layer() {
    let mut rig = Rig::new(BreakerLayer::new().trip(Trip::consecutive(1)));
    rig.probe.reply_next([Reply::fail().held()]);
    let mut call = rig.call();
    assert_pending!(call.poll());
    let (probe, handle) = (rig.probe.clone(), rig.handle.clone());
    drop(rig);
    probe.release(1);
    assert_ready_err!(call.poll());
    assert_eq!(handle.state(), State::Open);
}
