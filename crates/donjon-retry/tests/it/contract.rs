//! The laws, by the contract kit.

use std::time::Duration;

use donjon_retry::{Backoff, Budget, RetryLayer, Standard};
use donjon_test::{Number, contract};

#[test]
fn the_generic_layer_keeps_the_contract() {
    contract::Contract::new().check_fresh_over(Number, || RetryLayer::new(Standard::new())).unwrap();
}

#[test]
fn the_http_layer_keeps_the_contract() {
    contract::check_fresh(RetryLayer::http).unwrap();
}

#[test]
fn every_form_of_backoff_and_budget_keeps_the_contract() {
    let second = Duration::from_secs(1);
    contract::check_fresh(|| RetryLayer::http().backoff(Backoff::constant(Duration::ZERO))).unwrap();
    contract::check_fresh(|| RetryLayer::http().backoff(Backoff::rtt_shared()).budget(Budget::unlimited())).unwrap();
    contract::check_fresh(|| RetryLayer::http().backoff(Backoff::constant(second)).max_attempts(2)).unwrap();
    contract::check_fresh(|| RetryLayer::http().max_attempts(0)).unwrap();
    contract::check_fresh(|| RetryLayer::http().budget(Budget::none())).unwrap();
}
