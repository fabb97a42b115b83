//! Probes: how many, for how long, and what becomes of them.

use donjon_breaker::{BreakerLayer, State, Trip, Window};
use donjon_core::Ratio;
use donjon_test::Reply;
use tokio_test::{assert_ready, assert_ready_err, assert_ready_ok};

use crate::support::{Rig, SECOND, refusal};

#[tokio::test(start_paused = true)]
async fn it_lets_in_as_many_probes_as_must_succeed_and_no_more() {
    let mut rig = Rig::about_to_probe(BreakerLayer::new()).await;
    let mut probes: Vec<_> = (0..3).map(|_| rig.pending()).collect();
    assert_eq!(rig.state(), State::HalfOpen);
    for _ in 0..97 {
        assert_eq!(rig.refused(), None, "it does not know when");
    }
    rig.probe.release(2);
    assert_ready_ok!(probes[0].poll());
    assert_ready_ok!(probes[1].poll());
    rig.refused();
    rig.probe.release(1);
    assert_ready_ok!(probes[2].poll());
    assert_eq!(rig.state(), State::Closed);
    let stats = rig.handle.stats();
    assert_eq!((stats.probes, stats.half_opened, stats.closed), (3, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_opens_it_for_twice_as_long() {
    let mut rig = Rig::about_to_probe(BreakerLayer::new()).await;
    for seconds in [10, 20, 20] {
        rig.fail();
        assert_eq!((rig.state(), rig.refused()), (State::Open, Some(seconds * SECOND)));
        tokio::time::advance(seconds * SECOND).await;
    }
    (0..3).for_each(|_| rig.succeed());
    assert_eq!(rig.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_recovery_that_does_not_last_makes_the_next_opening_longer() {
    let mut rig = Rig::about_to_probe(BreakerLayer::new()).await;
    (0..3).for_each(|_| rig.succeed());
    tokio::time::advance(4 * SECOND).await;
    rig.fail_times(7);
    assert_eq!(rig.refused(), Some(10 * SECOND));
    tokio::time::advance(10 * SECOND).await;
    (0..3).for_each(|_| rig.succeed());
    tokio::time::advance(10 * SECOND).await;
    rig.fail_times(7);
    assert_eq!(rig.refused(), Some(5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_gives_its_place_to_the_next_call() {
    let mut rig = Rig::about_to_probe(BreakerLayer::new().probes(1)).await;
    for _ in 0..100 {
        let probe = rig.pending();
        rig.refused();
        drop(probe);
    }
    assert_eq!(rig.state(), State::HalfOpen);
    rig.succeed();
    assert_eq!(rig.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_hangs_is_left_alone_though_each_caller_leaves_before_its_lease_is_over() {
    let mut rig = Rig::about_to_probe(BreakerLayer::new()).await;
    for seconds in [10, 20, 20] {
        // Each has a deadline of 5 s. The first one leaves when that is over, and a lease later all of them have failed.
        for _ in 0..7 {
            assert_eq!(rig.handle.stats().state == State::Open, rig.handle.stats().probes % 7 == 0);
            let probe = rig.pending();
            tokio::time::advance(5 * SECOND).await;
            drop(probe);
        }
        assert_eq!((rig.state(), rig.refused()), (State::Open, Some(seconds * SECOND)));
        tokio::time::advance(seconds * SECOND).await;
    }
    let stats = rig.handle.stats();
    assert_eq!((stats.opened, stats.half_opened, stats.leases_expired), (4, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn callers_that_leave_are_no_evidence_while_every_third_one_stays() {
    for apart in [0, 1, 10, 1000] {
        let mut rig = Rig::about_to_probe(BreakerLayer::new()).await;
        for _ in 0..3 {
            assert_ne!(rig.state(), State::Closed);
            for _ in 0..2 {
                drop(rig.pending());
                tokio::time::advance(apart * SECOND).await;
            }
            rig.succeed();
            tokio::time::advance(apart * SECOND).await;
        }
        assert_eq!((rig.state(), rig.handle.stats().opened), (State::Closed, 1), "{apart} s apart");
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_among_those_that_leave_begins_their_lease_anew() {
    let mut rig = Rig::about_to_probe(BreakerLayer::new()).await;
    for state in [State::HalfOpen, State::Open] {
        for _ in 0..3 {
            drop(rig.pending());
        }
        tokio::time::advance(29 * SECOND).await;
        if state == State::HalfOpen {
            rig.succeed();
        }
        tokio::time::advance(SECOND).await;
        // It takes a call to see that a lease is over.
        rig.probe.reply_next([Reply::answer().held()]);
        let _ = rig.call().poll();
        rig.probe.forget_next();
        assert_eq!(rig.state(), state);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_says_nothing_gives_its_place_to_the_next_call() {
    use donjon_core::{CallError, Reject, Rejection, RejectionKind};
    use tower::{Layer, Service, ServiceExt, service_fn};

    // The inner layer refuses it.
    let layer = BreakerLayer::new().trip(Trip::consecutive(1)).open_for(std::time::Duration::ZERO).probes(1);
    let mut service = layer.layer(service_fn(|n: u64| async move {
        match n {
            0 => Err(CallError::new("down")),
            1 => Err(CallError::from_rejection(Rejection::new(RejectionKind::Overloaded, "inner"))),
            n => Ok(n),
        }
    }));
    for (n, state) in [(0, State::Open), (1, State::HalfOpen), (1, State::HalfOpen), (2, State::Closed)] {
        let _ = service.ready().await.unwrap().call(n).await;
        assert_eq!(layer.handle().state(), state);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_has_failed_when_its_lease_is_over() {
    let mut rig = Rig::about_to_probe(BreakerLayer::new().probes(2).probe_lease(3 * SECOND)).await;
    // Polled once and kept, and another one leaked.
    let kept = rig.pending();
    std::mem::forget(rig.pending());
    tokio::time::advance(2 * SECOND).await;
    assert_eq!(rig.refused(), None);
    tokio::time::advance(SECOND).await;
    assert_eq!(rig.refused(), Some(10 * SECOND), "it is open again, for twice as long");
    assert_eq!(rig.handle.stats().leases_expired, 1);
    tokio::time::advance(10 * SECOND).await;
    (0..2).for_each(|_| rig.succeed());
    assert_eq!(rig.state(), State::Closed);
    drop(kept);
    assert_eq!((rig.state(), rig.handle.stats().late), (State::Closed, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_no_time_fails_each_probe() {
    let mut rig = Rig::about_to_probe(BreakerLayer::new().probe_lease(std::time::Duration::ZERO)).await;
    rig.succeed();
    assert_eq!((rig.state(), rig.refused()), (State::Open, Some(10 * SECOND)));
}

#[tokio::test(start_paused = true)]
async fn without_probes_it_stays_open_until_the_operator_speaks() {
    let mut rig = Rig::open(BreakerLayer::new().probes(0));
    tokio::time::advance(1_000_000 * SECOND).await;
    assert_eq!(rig.refused(), None);
    rig.handle.reset();
    rig.succeed();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_let_in_while_closed_and_fails_while_half_open_changes_nothing() {
    let mut rig = Rig::new(BreakerLayer::new());
    rig.probe.reply_next([Reply::fail().held(), Reply::fail().held()]);
    let (mut late, mut later) = (rig.call(), rig.call());
    assert!(late.poll().is_pending() && later.poll().is_pending());
    rig.fail_times(7);
    tokio::time::advance(5 * SECOND).await;
    rig.succeed();
    assert_eq!(rig.state(), State::HalfOpen);
    rig.probe.release(1);
    assert_ready_err!(late.poll());
    assert_eq!((rig.state(), rig.handle.stats().late), (State::HalfOpen, 1));
    (0..2).for_each(|_| rig.succeed());
    assert_eq!(rig.state(), State::Closed);
    rig.probe.release(1);
    assert_ready_err!(later.poll());
    let stats = rig.handle.stats();
    assert_eq!((stats.score, stats.late), (0, 2), "nor does it once the circuit is closed again");
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_the_last_round_does_not_close_this_one() {
    let mut rig = Rig::about_to_probe(BreakerLayer::new().probes(2)).await;
    let mut old = rig.pending();
    rig.fail();
    tokio::time::advance(10 * SECOND).await;
    rig.succeed();
    rig.probe.release(1);
    assert_ready_ok!(old.poll());
    assert_eq!(rig.state(), State::HalfOpen);
    rig.succeed();
    assert_eq!(rig.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn where_slow_calls_open_it_a_slow_probe_has_failed() {
    let trip = Trip::slow_rate(Window::calls(1), SECOND, Ratio::ONE);
    let mut rig = Rig::new(BreakerLayer::new().trip(trip).probes(1));
    for (state, before) in [(State::Open, 0), (State::Open, 5)] {
        tokio::time::advance(before * SECOND).await;
        let mut call = rig.pending();
        tokio::time::advance(2 * SECOND).await;
        rig.probe.release(1);
        assert_ready_ok!(call.poll());
        assert_eq!(rig.state(), state);
    }
    assert_eq!(rig.refused(), Some(10 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_leaves_nothing_in_the_inner_service() {
    let mut rig = Rig::open(BreakerLayer::new());
    rig.probe.set_capacity(Some(1));
    let mut refused: Vec<_> = (0..5).map(|_| rig.call()).collect();
    for call in &mut refused {
        let error = assert_ready!(call.poll()).unwrap_err();
        refusal(&error);
        assert_eq!(rig.probe.stats().reserved, 0);
    }
}
