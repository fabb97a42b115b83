use std::panic::{AssertUnwindSafe, catch_unwind};

use donjon_core::{Phase, RejectionKind};
use donjon_test::Reply;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};

use crate::support::{by_number, call, held, pending, refusal};

#[tokio::test(start_paused = true)]
async fn a_hundred_misses_on_one_key_are_one_inner_call() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    let mut calls = pending(&service, 7, 100);
    assert_eq!(probe.stats().calls, 1);
    assert_eq!(layer.handle().stats().joined, 99);
    probe.release_all();
    assert!(calls[0].is_woken());
    let answer = assert_ready_ok!(calls[0].poll());
    for call in &mut calls[1..] {
        assert!(call.is_woken());
        assert_eq!(assert_ready_ok!(call.poll()), answer);
    }
    assert_eq!((probe.stats().calls, layer.handle().stats().in_flight), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_leaves_is_replaced_and_the_call_goes_on() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    let mut calls = pending(&service, 7, 5);
    while calls.len() > 1 {
        drop(calls.remove(0));
        assert!(calls[0].is_woken(), "the next one is promoted");
        assert_eq!(calls.iter().filter(|call| call.is_woken()).count(), 1, "and nobody else is woken");
        assert_pending!(calls[0].poll());
    }
    assert_eq!(probe.stats().calls, 1);
    probe.release_all();
    assert!(calls[0].is_woken());
    assert_ready_ok!(calls[0].poll());
    assert_eq!(layer.handle().stats().promoted, 4);
}

#[tokio::test(start_paused = true)]
async fn the_last_one_to_leave_ends_the_call() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    let calls = pending(&service, 7, 3);
    assert_eq!(probe.stats().in_flight, 1);
    drop(calls);
    assert_eq!(probe.stats().in_flight, 0);
    assert_eq!(layer.handle().stats().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_the_drivers_own_and_shared_by_the_others() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    probe.reply(Reply::fail().held());
    let mut calls = pending(&service, 7, 3);
    probe.release_all();
    let own = assert_ready!(calls[0].poll()).unwrap_err();
    assert!(own.downcast_ref::<donjon_test::ProbeError>().is_some());
    for call in &mut calls[1..] {
        assert_eq!(refusal(assert_ready!(call.poll())), (RejectionKind::Shared, Phase::Attempt));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_frees_the_key_and_the_others_start_again() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    probe.reply_next([Reply::panic().held()]);
    let mut calls = pending(&service, 7, 3);
    probe.release_all();
    assert!(catch_unwind(AssertUnwindSafe(|| calls[0].poll())).is_err());
    assert!(calls[1].is_woken() && calls[2].is_woken());
    assert_pending!(calls[1].poll());
    assert_pending!(calls[2].poll());
    assert_eq!(probe.stats().calls, 2);
    probe.release_all();
    assert_ready_ok!(calls[1].poll());
    assert_ready_ok!(calls[2].poll());
    assert_pending!(call(&service, 7).poll());
}
