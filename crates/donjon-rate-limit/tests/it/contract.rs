//! The laws that hold for every layer.

use std::time::Duration;

use donjon_rate_limit::{Rate, RateLimitLayer};
use donjon_test::{
    Number,
    contract::{Check, Contract},
};

/// A bucket that is full again after 240 ms. It is less than a crowd, and more than any check calls one after another.
const RATE: Rate = Rate::per_second(100).burst(24);
const FULL: Duration = Duration::from_millis(240);

#[test]
fn a_limit_that_refuses_keeps_the_laws() {
    let contract = Contract::new().forgets_in(FULL);
    contract.check_fresh(|| RateLimitLayer::new(RATE)).unwrap();
    contract.check_fresh_over(Number, || RateLimitLayer::new(RATE)).unwrap();
}

#[test]
fn a_limit_that_lets_wait_keeps_the_laws() {
    let layer = || RateLimitLayer::new(RATE).max_wait(Duration::from_millis(25)).queue(4);
    let contract = Contract::new()
        .forgets_in(FULL * 2)
        .skip(Check::DropWakes, "a call that was admitted has spent its token, and turns come by time alone")
        .skip(Check::CompletionGivesBack, "the same: tokens come back by time alone");
    contract.check_fresh(layer).unwrap();
    contract.check_fresh_over(Number, layer).unwrap();
}

#[test]
fn a_limit_that_refuses_everything_keeps_the_laws() {
    Contract::new()
        .skip(Check::PassesThrough, "it refuses all")
        .skip(Check::ProgressOverReservations, "it answers none")
        .skip(Check::ErrorUnchanged, "nothing reaches the inner service, so it cannot fail")
        .check_fresh(|| RateLimitLayer::new(Rate::per_second(0)))
        .unwrap();
}

#[test]
fn a_limit_with_costs_keeps_the_laws() {
    let layer = || RateLimitLayer::new(Rate::per_second(200).burst(48)).cost(|_: &u64| 2);
    Contract::new().forgets_in(FULL).check_fresh_over(Number, layer).unwrap();
}

#[cfg(feature = "http")]
#[test]
fn a_limit_that_tells_of_itself_keeps_the_laws() {
    Contract::new().forgets_in(FULL).check_fresh(|| RateLimitLayer::http(RATE)).unwrap();
}
