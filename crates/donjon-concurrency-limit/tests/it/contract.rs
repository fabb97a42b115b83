//! The laws that hold for every layer.

use std::time::Duration;

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_test::{
    Number,
    contract::{self, Check, Contract},
};

const WAIT: Duration = Duration::from_millis(250);

#[test]
fn a_limit_without_a_queue_keeps_the_laws() {
    contract::check_fresh(|| ConcurrencyLimitLayer::new(3).queue(0)).unwrap();
    Contract::new().check_fresh_over(Number, || ConcurrencyLimitLayer::new(3).queue(0)).unwrap();
}

#[test]
fn a_limit_with_a_queue_keeps_the_laws() {
    contract::check_fresh(|| ConcurrencyLimitLayer::new(3).queue(4).max_wait(WAIT)).unwrap();
    Contract::new().check_fresh_over(Number, || ConcurrencyLimitLayer::new(2).queue(5).max_wait(WAIT)).unwrap();
}

#[test]
fn a_limit_of_nought_keeps_the_laws() {
    Contract::new()
        .skip(Check::PassesThrough, "it refuses all")
        .skip(Check::ProgressOverReservations, "it answers none")
        .skip(Check::ErrorUnchanged, "nothing reaches the inner service, so it cannot fail")
        .check_fresh(|| ConcurrencyLimitLayer::new(0))
        .unwrap();
}

#[test]
fn a_queue_of_two_lanes_keeps_the_laws() {
    contract::check_fresh(|| ConcurrencyLimitLayer::new(2).queue(4).two_lane(Duration::from_millis(10))).unwrap();
}

#[cfg(feature = "http")]
#[test]
fn a_limit_over_bodies_keeps_the_laws() {
    use donjon_concurrency_limit::ReleaseOn;

    contract::check_fresh(|| ConcurrencyLimitLayer::http(3).queue(4).max_wait(WAIT)).unwrap();
    contract::check_fresh(|| ConcurrencyLimitLayer::http(3).queue(4).release_on(ReleaseOn::Head)).unwrap();
}

#[test]
fn backpressure_holds_while_idle_and_keeps_the_other_laws() {
    let layer = || ConcurrencyLimitLayer::new(3).backpressure();
    let report = contract::check(layer).unwrap_err();
    assert!(report.failed(Check::IdleHoldsNothing), "{report}");
    Contract::new()
        .skip(Check::IdleHoldsNothing, "it takes its permit in poll_ready, as it says")
        .check(layer)
        .unwrap_or_else(|report| panic!("{report}"));
}
