//! The laws, by the contract kit: each layer with a time that nothing reaches, switched off, and with one that matters.

use std::time::Duration;

use donjon_core::Fresh;
use donjon_test::{
    Number,
    contract::{self, Check, Contract},
};
use donjon_timeout::{DeadlineLayer, IdleTimeoutLayer, PropagateDeadlineLayer, TimeoutLayer};

const LONG: Duration = Duration::from_secs(24 * 3600);

#[test]
fn the_deadline_layer_keeps_the_contract() {
    contract::check_fresh(|| DeadlineLayer::new(LONG)).unwrap();
    contract::check_over(Number, || DeadlineLayer::new(LONG)).unwrap();
    contract::check_fresh(|| DeadlineLayer::http(LONG)).unwrap();
}

#[test]
fn the_attempt_timeout_keeps_the_contract() {
    contract::check_fresh(|| TimeoutLayer::new(LONG)).unwrap();
    contract::check_over(Number, || TimeoutLayer::new(LONG)).unwrap();
    contract::check_fresh(|| TimeoutLayer::http(LONG)).unwrap();
}

#[test]
fn the_idle_timeouts_keep_the_contract() {
    contract::check_fresh(|| IdleTimeoutLayer::new(LONG)).unwrap();
}

#[test]
fn the_propagation_keeps_the_contract() {
    contract::check_fresh(PropagateDeadlineLayer::new).unwrap();
    contract::check(|| PropagateDeadlineLayer::new().grpc()).unwrap();
}

#[test]
fn what_is_switched_off_or_never_keeps_the_contract() {
    let few = Contract::new().scripts(8);
    few.check(|| DeadlineLayer::new(Duration::MAX)).unwrap();
    few.check(|| TimeoutLayer::new(Duration::MAX)).unwrap();
    few.check(|| DeadlineLayer::http(Duration::ZERO).bypass()).unwrap();
    few.check(|| TimeoutLayer::http(Duration::ZERO).bypass()).unwrap();
    few.check(|| IdleTimeoutLayer::new(Duration::ZERO).bypass()).unwrap();
    few.check(|| PropagateDeadlineLayer::new().at_most(Duration::ZERO).bypass()).unwrap();
}

#[test]
fn what_refuses_everything_keeps_the_contract() {
    let why = "it refuses every call";
    let refusing = Contract::new()
        .scripts(8)
        .skip(Check::PassesThrough, why)
        .skip(Check::ErrorUnchanged, why)
        .skip(Check::ProgressOverReservations, why);
    refusing.check(|| DeadlineLayer::new(Duration::ZERO)).unwrap();
    refusing.check(|| TimeoutLayer::new(Duration::ZERO)).unwrap();
    refusing.check(|| PropagateDeadlineLayer::new().at_most(Duration::ZERO)).unwrap();
}

#[test]
fn a_time_that_runs_out_keeps_the_contract() {
    Contract::new().scripts(8).check(|| DeadlineLayer::new(Duration::from_millis(50))).unwrap();
    Contract::new().scripts(8).check(|| DeadlineLayer::http(Duration::from_millis(50))).unwrap();
    Contract::new().scripts(8).check(|| TimeoutLayer::new(Duration::from_millis(50))).unwrap();
    Contract::new().scripts(8).check(|| TimeoutLayer::http(Duration::from_millis(50))).unwrap();
}
