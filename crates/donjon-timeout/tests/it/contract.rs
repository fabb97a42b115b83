//! The laws, by the contract kit: each layer with a time that nothing reaches, switched off, and with one that matters.

use std::time::Duration;

use donjon_core::Fresh;
use donjon_test::{
    Number,
    contract::{self, Check, Contract},
};
use donjon_timeout::{DeadlineLayer, TimeoutLayer};

use crate::support::millis;

const LONG: Duration = Duration::from_secs(24 * 3600);

/// For a variant of what is checked in full beside it.
fn few() -> Contract {
    Contract::new().scripts(8)
}

fn refusing() -> Contract {
    let why = "it refuses every call";
    few().skip(Check::PassesThrough, why).skip(Check::ErrorUnchanged, why).skip(Check::ProgressOverReservations, why)
}

#[test]
fn the_deadline_layer_keeps_the_contract() {
    contract::check_fresh(|| DeadlineLayer::new(LONG)).unwrap();
    contract::check_over(Number, || DeadlineLayer::new(LONG)).unwrap();
}

#[test]
fn the_attempt_timeout_keeps_the_contract() {
    contract::check_fresh(|| TimeoutLayer::new(LONG)).unwrap();
    contract::check_over(Number, || TimeoutLayer::new(LONG)).unwrap();
}

#[test]
fn what_is_switched_off_or_never_keeps_the_contract() {
    few().check(|| DeadlineLayer::new(Duration::MAX)).unwrap();
    few().check(|| TimeoutLayer::new(Duration::MAX)).unwrap();
    few().check(|| DeadlineLayer::new(Duration::ZERO).bypass()).unwrap();
    few().check(|| TimeoutLayer::new(Duration::ZERO).bypass()).unwrap();
}

#[test]
fn what_refuses_everything_keeps_the_contract() {
    refusing().check(|| DeadlineLayer::new(Duration::ZERO)).unwrap();
    refusing().check(|| TimeoutLayer::new(Duration::ZERO)).unwrap();
}

#[test]
fn a_time_that_runs_out_keeps_the_contract() {
    few().check(|| DeadlineLayer::new(millis(50))).unwrap();
    few().check(|| TimeoutLayer::new(millis(50))).unwrap();
}

#[cfg(feature = "http")]
mod http {
    use donjon_timeout::{IdleTimeoutLayer, PropagateDeadlineLayer};

    use super::*;

    #[test]
    fn the_forms_for_http_keep_the_contract() {
        contract::check_fresh(|| DeadlineLayer::http(LONG)).unwrap();
        contract::check_fresh(|| TimeoutLayer::http(LONG)).unwrap();
        few().check(|| DeadlineLayer::http(millis(50))).unwrap();
        few().check(|| TimeoutLayer::http(millis(50))).unwrap();
        few().check(|| DeadlineLayer::http(Duration::ZERO).bypass()).unwrap();
        few().check(|| TimeoutLayer::http(Duration::ZERO).bypass()).unwrap();
    }

    #[test]
    fn the_idle_timeout_keeps_the_contract() {
        contract::check_fresh(|| IdleTimeoutLayer::new(LONG)).unwrap();
        few().check(|| IdleTimeoutLayer::new(Duration::ZERO).bypass()).unwrap();
    }

    #[test]
    fn the_propagation_keeps_the_contract() {
        contract::check_fresh(PropagateDeadlineLayer::new).unwrap();
        few().check(|| PropagateDeadlineLayer::new().grpc()).unwrap();
        few().check(|| PropagateDeadlineLayer::new().at_most(Duration::ZERO).bypass()).unwrap();
        refusing().check(|| PropagateDeadlineLayer::new().at_most(Duration::ZERO)).unwrap();
    }
}
