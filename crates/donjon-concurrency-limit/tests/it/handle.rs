//! The knobs and the figures of a limit that is running.

use std::time::Duration;

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{Fresh, Phase, RejectionKind::Overloaded};
use donjon_test::Reply;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};

use crate::support::{call, held, numbers, pending, refusal};

#[tokio::test(start_paused = true)]
async fn a_higher_maximum_wakes_those_who_wait_at_once() {
    let layer = ConcurrencyLimitLayer::new(1).queue(100);
    let (service, handle) = held(&layer);
    let _running = pending(&service, [100]);
    let mut waiting = pending(&service, 0..5);
    layer.handle().set_max(4).unwrap();
    let woken: Vec<_> = waiting.iter().map(|call| call.is_woken()).collect();
    assert_eq!(woken, [true, true, true, false, false]);
    for call in &mut waiting {
        assert_pending!(call.poll());
    }
    assert_eq!(numbers(&handle), [100, 0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_lower_maximum_ends_nothing_that_runs() {
    let layer = ConcurrencyLimitLayer::new(3);
    let (service, handle) = held(&layer);
    let mut running = pending(&service, 0..3);
    let mut waits = pending(&service, [3]);
    layer.handle().set_max(1).unwrap();
    for (n, call) in running.iter_mut().enumerate() {
        assert!(!waits[0].is_woken(), "there are {} in flight", 3 - n);
        handle.release(1);
        assert_ready_ok!(call.poll());
    }
    assert!(waits[0].is_woken());
    assert_pending!(waits[0].poll());
    assert_eq!(numbers(&handle), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_maximum_of_nought_refuses_those_who_wait_and_lets_the_others_end() {
    let layer = ConcurrencyLimitLayer::new(1);
    let (service, handle) = held(&layer);
    let mut running = pending(&service, [0]);
    let mut waiting = pending(&service, [1, 2]);
    layer.handle().set_max(0).unwrap();
    for call in &mut waiting {
        assert!(call.is_woken());
        assert_eq!(refusal(assert_ready!(call.poll())), (Overloaded, Phase::Queue));
    }
    assert_eq!(refusal(assert_ready!(call(&service, 3).poll())), (Overloaded, Phase::Admission));
    handle.release(1);
    assert_ready_ok!(running[0].poll());
    layer.handle().set_max(1).unwrap();
    assert_pending!(call(&service, 4).poll());
}

#[tokio::test(start_paused = true)]
async fn the_bound_of_the_queue_changes_for_those_who_come() {
    let layer = ConcurrencyLimitLayer::new(1).queue(3);
    let (service, handle) = held(&layer);
    let _running = pending(&service, [0]);
    let mut waiting = pending(&service, 1..4);
    layer.handle().set_queue(0).unwrap();
    refusal(assert_ready!(call(&service, 4).poll()));
    for (n, call) in waiting.iter_mut().enumerate() {
        assert!(!call.is_woken(), "call {n} keeps its place");
    }
    layer.handle().set_queue(4).unwrap();
    assert_pending!(call(&service, 5).poll());
    assert_eq!(numbers(&handle), [0]);
}

#[test]
fn a_setting_that_cannot_be_counted_is_an_error() {
    let handle = ConcurrencyLimitLayer::new(1).handle();
    let error = handle.set_max(16_777_216).unwrap_err();
    assert_eq!(error.to_string(), "limit of calls in flight is 16777216, and must be at most 16777215");
    handle.set_queue(usize::MAX).unwrap_err();
    handle.set_max(16_777_215).unwrap();
    assert_eq!((handle.stats().max, handle.stats().queue), (16_777_215, 2));
}

#[tokio::test(start_paused = true)]
async fn the_figures_say_what_has_become_of_every_call() {
    let layer = ConcurrencyLimitLayer::new(2).queue(3).max_wait(Duration::from_millis(10));
    let stats = || layer.handle().stats();
    let (service, handle) = held(&layer);
    let mut running = pending(&service, 0..2);
    let mut waiting = pending(&service, 2..5);
    refusal(assert_ready!(call(&service, 5).poll()));
    drop(waiting.remove(0)); // call 2 gives up its place
    handle.release(1);
    assert_ready_ok!(running[0].poll()); // call 0 ends, 3 is admitted
    assert_pending!(waiting[0].poll());
    drop(running.remove(1)); // call 1 is cancelled, 4 is admitted
    assert_pending!(waiting[1].poll());
    let late = pending(&service, [6]);
    let now = stats();
    assert_eq!((now.in_flight, now.queued, now.max_in_flight), (2, 1, 2));
    for call in late {
        refusal(call.into_inner().await);
    }
    handle.release_all();
    handle.reply(Reply::answer());
    for call in &mut waiting {
        assert_ready_ok!(call.poll());
    }
    let end = stats();
    assert_eq!((end.max, end.queue, end.in_flight, end.queued, end.max_in_flight), (2, 3, 0, 0, 2));
    assert_eq!((end.admitted, end.refused, end.timed_out), (4, 1, 1));
    assert_eq!((end.cancelled_queued, end.cancelled_running), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn admissions_are_counted_one_by_one_for_ever() {
    let layer = ConcurrencyLimitLayer::new(2);
    let (service, handle) = held(&layer);
    handle.reply(Reply::answer());
    for n in 1..=70_000 {
        assert_ready_ok!(call(&service, n).poll());
        if n % 997 == 0 {
            assert_eq!(layer.handle().stats().admitted, n);
        }
    }
    assert_eq!(layer.handle().stats().admitted, 70_000);
    assert_eq!(layer.handle().stats().max_in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn fresh_has_the_settings_of_now_and_a_state_of_its_own() {
    let layer = ConcurrencyLimitLayer::new(1).queue(0).max_wait(Duration::from_millis(5));
    layer.handle().set_max(2).unwrap();
    layer.handle().set_queue(1).unwrap();
    let _running = pending(&held(&layer).0, 0..2);
    let fresh = layer.fresh();
    assert_eq!(fresh.handle().stats().in_flight, 0);
    let (service, _) = held(&fresh);
    let _calls = pending(&service, 0..3);
    refusal(assert_ready!(call(&service, 3).poll()));
    layer.handle().set_max(10).unwrap();
    assert_eq!(fresh.handle().stats().max, 2);
}

#[tokio::test(start_paused = true)]
async fn bypass_lets_everything_through_and_counts_nothing() {
    let layer = ConcurrencyLimitLayer::new(0).bypass();
    let (service, handle) = held(&layer);
    let _calls = pending(&service, 0..20);
    assert_eq!(handle.stats().in_flight, 20);
    assert_eq!((layer.handle().stats().in_flight, layer.handle().stats().admitted), (0, 0));
}
