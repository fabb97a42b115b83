//! Whoever leaves, nobody else suffers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use donjon_core::{Phase, RejectionKind};
use donjon_test::{ProbeError, Readiness, Reply};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};

use crate::support::{by_number, call, held, pending, prompt, refusal};

#[tokio::test(start_paused = true)]
async fn a_hundred_misses_on_one_key_are_one_inner_call() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    let mut calls = pending(&service, 7, 100);
    assert_eq!(probe.stats().calls, 1);
    probe.release_all();
    let answer = assert_ready_ok!(calls[0].poll());
    for call in &mut calls[1..] {
        assert!(call.is_woken());
        assert_eq!(assert_ready_ok!(call.poll()), answer);
    }
    assert_eq!(assert_ready_ok!(call(&service, 7).poll()), answer);
    let stats = layer.handle().stats();
    assert_eq!((probe.stats().calls, stats.misses, stats.coalesced, stats.hits), (1, 100, 99, 1));
}

/// Futures that were made while nothing was there, and polled one after the other.
#[tokio::test(start_paused = true)]
async fn misses_that_are_polled_after_the_answer_has_come_find_it() {
    let layer = by_number();
    let (service, probe) = prompt(&layer);
    let mut calls: Vec<_> = (0..100).map(|_| call(&service, 7)).collect();
    for call in &mut calls {
        assert_ready_ok!(call.poll());
    }
    assert_eq!(probe.stats().calls, 1);
}

/// However far the call is when its driver is dropped, the others get the answer of the same call.
#[tokio::test(start_paused = true)]
async fn a_driver_that_is_dropped_at_any_poll_is_replaced() {
    for polls in 0..6 {
        let layer = by_number();
        let (service, probe) = prompt(&layer);
        // Each poll of the call wakes somebody at once, and whoever is polled may drive it.
        probe.reply(Reply::answer().after_polls(300));
        let mut calls = pending(&service, 7, 100);
        for _ in 0..polls {
            assert_pending!(calls[0].poll());
        }
        drop(calls.remove(0));
        let mut woken = 1;
        while woken > 0 {
            woken = 0;
            calls.retain_mut(|call| {
                if !call.is_woken() {
                    return true;
                }
                woken += 1;
                call.poll().is_pending()
            });
        }
        assert!(calls.is_empty(), "{} wait for ever", calls.len());
        assert_eq!(probe.stats().calls, 1);
        assert_eq!(layer.handle().stats().stored, 1, "the answer is kept, whoever drove");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_one_to_leave_ends_the_call_and_the_key_is_free() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    drop(pending(&service, 7, 3));
    assert_eq!(probe.stats().in_flight, 0);
    probe.reply(Reply::answer());
    assert_ready_ok!(call(&service, 7).poll());
    assert_eq!(probe.stats().calls, 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_polled_calls_nobody() {
    let (service, probe) = prompt(&by_number());
    drop(call(&service, 7));
    assert_eq!((probe.stats().calls, probe.stats().ready_polls), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_the_drivers_own_and_the_others_start_again_together() {
    let (service, probe) = held(&by_number());
    probe.reply_next([Reply::panic().held()]);
    let mut calls = pending(&service, 7, 100);
    probe.release_all();
    assert!(catch_unwind(AssertUnwindSafe(|| calls[0].poll())).is_err());
    calls[1..].iter_mut().for_each(|call| assert_pending!(call.poll()));
    assert_eq!(probe.stats().calls, 2);
    probe.release_all();
    for call in &mut calls[1..] {
        assert!(call.is_woken());
        assert_ready_ok!(call.poll());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_the_drivers_own_and_shared_by_the_others() {
    let (service, probe) = held(&by_number());
    probe.reply(Reply::fail().held());
    let mut calls = pending(&service, 7, 100);
    probe.release_all();
    let own = assert_ready!(calls[0].poll()).unwrap_err();
    assert!(own.downcast_ref::<ProbeError>().is_some());
    for call in &mut calls[1..] {
        assert_eq!(refusal(assert_ready!(call.poll())), (RejectionKind::Shared, Phase::Attempt));
    }
    assert_eq!(probe.stats().calls, 1);
    // And nothing of it is remembered.
    assert_pending!(call(&service, 7).poll());
}

#[tokio::test(start_paused = true)]
async fn what_a_call_held_is_free_when_it_has_ended_though_its_future_lives() {
    let (service, probe) = prompt(&by_number());
    let before = probe.stats().instances;
    let mut call = call(&service, 7);
    assert_ready_ok!(call.poll());
    assert_eq!(probe.stats().instances, before, "the clone that made the call is gone");
    drop(call);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_handed_on() {
    let (service, probe) = prompt(&by_number());
    probe.set_readiness(Readiness::Fail);
    let error = assert_ready!(call(&service, 7).poll()).unwrap_err();
    assert!(error.downcast_ref::<ProbeError>().is_some());
    probe.set_readiness(Readiness::Ready);
    assert_ready_ok!(call(&service, 7).poll());
}
