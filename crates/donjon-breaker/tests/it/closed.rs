//! When a closed circuit opens, and when it does not.

use std::time::Duration;

use donjon_breaker::{BreakerLayer, State, Trip, Window};
use donjon_core::{CallError, Outcome, Ratio, Rejection, RejectionKind, Sent};
use donjon_test::Reply;
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Rig, SECOND};

fn half() -> Ratio {
    Ratio::new(0.5).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_outage_opens_it_with_its_seventh_call() {
    let mut rig = Rig::new(BreakerLayer::new());
    rig.fail_times(6);
    assert_eq!((rig.state(), rig.handle.stats().score), (State::Closed, 24));
    rig.fail();
    assert_eq!(rig.state(), State::Open);
    assert_eq!(rig.refused(), Some(5 * SECOND));
    let stats = rig.handle.stats();
    assert_eq!((stats.failures, stats.refused, stats.opened, stats.score), (7, 1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn successes_take_back_what_failures_have_added() {
    let mut rig = Rig::new(BreakerLayer::new());
    for _ in 0..100 {
        rig.fail();
        (0..4).for_each(|_| rig.succeed());
    }
    assert_eq!((rig.state(), rig.handle.stats().score), (State::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn consecutive_failures_are_in_a_row() {
    let mut rig = Rig::new(BreakerLayer::new().trip(Trip::consecutive(3)));
    for _ in 0..10 {
        rig.fail_times(2);
        rig.succeed();
    }
    rig.fail_times(3);
    assert_eq!(rig.state(), State::Open);
    for at_once in [0, 1] {
        let mut rig = Rig::new(BreakerLayer::new().trip(Trip::consecutive(at_once)));
        rig.fail();
        assert_eq!(rig.state(), State::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn windows_slide_after_a_thousand_successes_a_few_failures_are_enough() {
    for window in [Window::calls(20), Window::time(10 * SECOND)] {
        let mut rig = Rig::new(BreakerLayer::new().trip(Trip::failure_rate(window, half())));
        (0..1000).for_each(|_| rig.succeed());
        // Of the window of time they have left by then.
        tokio::time::advance(10 * SECOND).await;
        let mut failures = 0;
        while rig.state() == State::Closed {
            rig.fail();
            failures += 1;
        }
        assert!(failures == 10 || failures == 20, "{failures} failures were needed by {window:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_taken_of_the_least_number_of_calls() {
    let trip = |min| Trip::failure_rate(Window::time(10 * SECOND), half()).min_calls(min);
    let mut rig = Rig::new(BreakerLayer::new().trip(trip(10)));
    rig.fail_times(9);
    assert_eq!(rig.state(), State::Closed);
    // A success makes up the number, and the rate is nine in ten.
    rig.succeed();
    assert_eq!(rig.state(), State::Open);
    // More than the window can hold is taken for that many.
    let mut rig = Rig::new(BreakerLayer::new().trip(Trip::failure_rate(Window::calls(3), half()).min_calls(100)));
    rig.fail_times(3);
    assert_eq!(rig.state(), State::Open);
    // None at all: the first one.
    let mut rig = Rig::new(BreakerLayer::new().trip(trip(0)));
    rig.fail();
    assert_eq!(rig.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_share_of_nought_opens_at_any_failure_and_a_window_of_nothing_never() {
    let mut rig = Rig::new(BreakerLayer::new().trip(Trip::failure_rate(Window::calls(5), Ratio::ZERO)));
    (0..30).for_each(|_| rig.succeed());
    assert_eq!(rig.state(), State::Closed, "nothing has failed");
    rig.fail();
    assert_eq!(rig.state(), State::Open);
    for nothing in [Window::calls(0), Window::time(Duration::ZERO)] {
        let mut rig = Rig::new(BreakerLayer::new().trip(Trip::failure_rate(nothing, Ratio::ZERO).min_calls(0)));
        rig.fail_times(100);
        assert_eq!(rig.state(), State::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it_though_they_succeed() {
    let slow = Trip::slow_rate(Window::calls(4), SECOND, half());
    let either = Trip::failure_rate(Window::calls(4), Ratio::ONE).or_slow(SECOND, half());
    for trip in [slow, either] {
        let mut rig = Rig::new(BreakerLayer::new().trip(trip));
        let mut calls: Vec<_> = (0..4).map(|_| rig.pending()).collect();
        rig.probe.release(2);
        // Exactly so long is not longer.
        tokio::time::advance(SECOND).await;
        for call in &mut calls[..2] {
            assert_ready_ok!(call.poll());
        }
        tokio::time::advance(SECOND / 1000).await;
        rig.probe.release(2);
        assert_ready_ok!(calls[2].poll());
        assert_eq!(rig.state(), State::Closed);
        let window = rig.handle.stats().window;
        assert_eq!((window.calls, window.failures, window.slow), (3, 0, 1));
        assert_eq!(window.mean(), Duration::from_nanos(3_001_000_000 / 3));
        assert_ready_ok!(calls[3].poll());
        assert_eq!(rig.state(), State::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_window_forgets() {
    let mut rig =
        Rig::new(BreakerLayer::new().trip(Trip::failure_rate(Window::time(10 * SECOND), half()).min_calls(4)));
    rig.fail_times(3);
    tokio::time::advance(10 * SECOND).await;
    assert_eq!(rig.handle.stats().window.calls, 0);
    rig.fail_times(3);
    assert_eq!(rig.state(), State::Closed);
    rig.fail();
    assert_eq!(rig.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn which_outcomes_are_failures_of_the_service() {
    let after = Some(SECOND);
    let table = [
        (Outcome::Success, false),
        (Outcome::Transient { sent: Sent::Unknown, retry_after: None }, true),
        (Outcome::Transient { sent: Sent::NotSent, retry_after: after }, true),
        (Outcome::Throttled { retry_after: after }, true),
        (Outcome::Permanent, true),
        (Outcome::Refused { retry_after: after }, false),
        (Outcome::Cancelled, false),
    ];
    for (outcome, fails) in table {
        let layer = BreakerLayer::new().trip(Trip::consecutive(1)).classify(move |_: Result<&u64, &CallError>| outcome);
        let service = layer.layer(service_fn(|n: u64| async move { Ok::<_, CallError>(n) }));
        service.oneshot(1).await.unwrap();
        assert_eq!(layer.handle().state() == State::Open, fails, "{outcome:?}");
        assert_eq!(layer.handle().stats().failures, u64::from(fails));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_an_inner_layer_is_no_failure_and_no_success() {
    let layer = BreakerLayer::new();
    let refuses = |kind| {
        layer.layer(service_fn(move |fails: bool| async move {
            match fails {
                false => Err::<(), _>(Rejection::new(kind, "inner")),
                true => Err(Rejection::body_incomplete("inner", std::sync::Arc::new(std::io::Error::other("cut off")))),
            }
        }))
    };
    let mut service = refuses(RejectionKind::Overloaded);
    service.ready().await.unwrap().call(true).await.unwrap_err();
    for _ in 0..1000 {
        service.ready().await.unwrap().call(false).await.unwrap_err();
    }
    assert_eq!((layer.handle().state(), layer.handle().stats().score), (State::Closed, 4));
}

#[tokio::test(start_paused = true)]
async fn a_result_that_comes_when_it_is_open_changes_nothing() {
    let mut rig = Rig::new(BreakerLayer::new());
    let mut late = [rig.pending(), rig.pending()];
    rig.fail_times(7);
    rig.probe.reply(Reply::answer());
    rig.probe.release_all();
    for call in &mut late {
        assert_ready_ok!(call.poll());
    }
    assert_eq!((rig.state(), rig.handle.stats().late), (State::Open, 2));
    assert_eq!(rig.refused(), Some(5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_longest_and_the_shortest_openings_mean_something() {
    let mut rig = Rig::open(BreakerLayer::new().open_for(Duration::MAX));
    assert!(rig.refused().unwrap() > 10_000 * 86_400 * SECOND);
    let mut rig = Rig::open(BreakerLayer::new().open_for(Duration::ZERO));
    rig.succeed();
    assert_eq!(rig.state(), State::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn jitter_makes_openings_longer_by_up_to_its_share_and_a_seed_repeats_it() {
    let opening = |seed| {
        let layer = BreakerLayer::new().seed(seed).trip(Trip::consecutive(1));
        let fails = layer.layer(service_fn(|_: u64| std::future::ready(Err::<u64, _>(CallError::new("down")))));
        tokio_test::assert_ready_err!(tokio_test::task::spawn(fails.clone().oneshot(0)).poll());
        let error = tokio_test::assert_ready_err!(tokio_test::task::spawn(fails.oneshot(0)).poll());
        crate::support::refusal(&error).retry_after().unwrap()
    };
    let openings: Vec<_> = (0..50).map(opening).collect();
    assert_eq!(openings, (0..50).map(opening).collect::<Vec<_>>());
    assert!(openings.iter().all(|&it| it >= 5 * SECOND && it <= 6 * SECOND), "{openings:?}");
    let (least, most) = (openings.iter().min().unwrap(), openings.iter().max().unwrap());
    assert!(*most - *least > SECOND / 2, "{least:?} to {most:?}");
}

#[tokio::test(start_paused = true)]
async fn it_forwards_readiness_while_it_is_open() {
    let mut rig = Rig::open(BreakerLayer::new());
    rig.probe.set_readiness(donjon_test::Readiness::Pending);
    let mut task = tokio_test::task::spawn(());
    task.enter(|cx, _| assert_pending!(Service::<u64>::poll_ready(&mut rig.service, cx)));
}
