//! The last word is the operator's.

use donjon_breaker::{BreakerLayer, Handle, State, Trip, Window};
use donjon_core::{Fresh, Ratio};
use donjon_test::Reply;
use tokio_test::assert_ready_err;

use crate::support::{Rig, SECOND};

#[tokio::test(start_paused = true)]
async fn forced_open_it_refuses_all_and_ends_nothing() {
    let mut rig = Rig::new(BreakerLayer::new());
    let mut running = rig.pending();
    rig.handle.force_open();
    assert_eq!((rig.state(), rig.refused()), (State::ForcedOpen, None));
    tokio::time::advance(1_000_000 * SECOND).await;
    assert_eq!(rig.refused(), None);
    rig.probe.release(1);
    assert!(running.poll().is_ready());
    rig.handle.reset();
    rig.succeed();
    assert_eq!((rig.state(), rig.handle.stats().opened), (State::Closed, 0), "it has not opened by itself");
}

#[tokio::test(start_paused = true)]
async fn forced_closed_it_lets_all_through_and_counts() {
    let mut rig = Rig::open(BreakerLayer::new());
    rig.handle.force_closed();
    rig.fail_times(100);
    let stats = rig.handle.stats();
    assert_eq!((stats.state, stats.failures, stats.score), (State::ForcedClosed, 107, 0));
    rig.handle.reset();
    rig.fail_times(6);
    assert_eq!(rig.state(), State::Closed, "what was counted meanwhile opens nothing");
    rig.fail();
    assert_eq!((rig.state(), rig.refused()), (State::Open, Some(5 * SECOND)), "nor does it make openings longer");
}

#[tokio::test(start_paused = true)]
async fn disabled_it_lets_all_through_and_looks_at_nothing() {
    let mut rig = Rig::open(BreakerLayer::new());
    rig.handle.disable();
    rig.fail_times(100);
    drop(rig.pending());
    let stats = rig.handle.stats();
    assert_eq!((stats.state, stats.failures, stats.cancelled), (State::Disabled, 7, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgets_the_score_and_what_is_on_its_way() {
    let mut rig = Rig::new(BreakerLayer::new());
    rig.probe.reply_next([Reply::fail().held()]);
    let mut late = rig.call();
    assert!(late.poll().is_pending());
    rig.fail_times(6);
    rig.handle.reset();
    rig.probe.release(1);
    assert_ready_err!(late.poll());
    let stats = rig.handle.stats();
    assert_eq!((stats.score, stats.late, stats.failures), (0, 1, 6));
    rig.fail_times(6);
    assert_eq!(rig.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_ends_after_the_operator_spoke_changes_nothing() {
    for (speak, state) in [
        (Handle::force_open as fn(&Handle), State::ForcedOpen),
        (Handle::force_closed, State::ForcedClosed),
        (Handle::disable, State::Disabled),
        (Handle::reset, State::Closed),
    ] {
        let mut rig = Rig::about_to_probe(BreakerLayer::new().probes(1)).await;
        rig.probe.reply_next([Reply::fail().held()]);
        let mut probe = rig.call();
        assert!(probe.poll().is_pending());
        speak(&rig.handle);
        rig.probe.release(1);
        assert_ready_err!(probe.poll());
        assert_eq!((rig.state(), rig.handle.stats().late), (state, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_opening_time_turns_while_it_runs_and_holds_from_the_next_opening_on() {
    let mut rig = Rig::open(BreakerLayer::new());
    rig.handle.set_open_for(60 * SECOND).unwrap();
    rig.handle.set_max_open(90 * SECOND).unwrap();
    assert_eq!(rig.refused(), Some(5 * SECOND), "the one that runs keeps its time");
    tokio::time::advance(5 * SECOND).await;
    rig.fail();
    assert_eq!(rig.refused(), Some(90 * SECOND), "twice the first, up to the longest");
    rig.handle.reset();
    rig.fail_times(7);
    assert_eq!(rig.refused(), Some(60 * SECOND));
    rig.handle.set_open_for(std::time::Duration::MAX).unwrap();
    rig.handle.reset();
    rig.fail_times(7);
    assert_eq!(rig.state(), State::Open);
}

#[test]
fn a_fresh_one_has_the_settings_of_the_moment() {
    let layer = BreakerLayer::new().max_retry_after(SECOND).jitter(Ratio::ZERO);
    assert_eq!(layer.memory(), 20 * SECOND);
    layer.handle().set_max_open(70 * SECOND).unwrap();
    assert_eq!(layer.fresh().memory(), 70 * SECOND);
    let (half, window) = (Ratio::new(0.5).unwrap(), Window::time(100 * SECOND));
    assert_eq!(layer.trip(Trip::failure_rate(window, half)).memory(), 100 * SECOND, "what is counted is remembered");
}

#[test]
fn a_layer_per_key_forgets_no_word_of_the_operator() {
    let layer = BreakerLayer::new();
    let handle = layer.handle();
    assert!(!layer.is_held());
    for word in [Handle::force_open, Handle::force_closed, Handle::disable] {
        word(&handle);
        assert!(layer.is_held());
        handle.reset();
        assert!(!layer.is_held());
    }
}
