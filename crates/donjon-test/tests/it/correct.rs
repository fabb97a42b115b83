//! Correct layers pass every check.

use std::time::Duration;

use donjon_test::{
    Http, Number, Streaming,
    contract::{self, Check, Contract},
};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_layer::Identity;

use crate::layers::{
    CoalesceFault, CoalesceLayer, Fault, HeldFault, HeldLayer, LimitLayer, RetryFault, RetryLayer, TimeoutFault,
    TimeoutLayer, Wrap, WrapLayer,
};

#[test]
fn the_identity_passes() {
    contract::check(Identity::new).unwrap();
    contract::check_over(Number, Identity::new).unwrap();
    contract::check_over(Http::get(), Identity::new).unwrap();
    contract::check_over(Streaming::new(), Identity::new).unwrap();
}

#[test]
fn towers_limit_fails_what_it_is_known_for_and_nothing_else() {
    let report = contract::check(|| GlobalConcurrencyLimitLayer::new(3)).unwrap_err();
    let failed: Vec<_> = report.failures().iter().map(|failure| failure.check()).collect();
    assert_eq!(failed, [Check::IdleHoldsNothing, Check::CompletionGivesBack, Check::AnyScript], "{report}");
    Contract::new()
        .skip(Check::IdleHoldsNothing, "it reserves its place in poll_ready")
        .skip(Check::CompletionGivesBack, "its permit lives as long as the future")
        .check(|| GlobalConcurrencyLimitLayer::new(3))
        .unwrap();
}

#[test]
fn a_limit_with_a_queue_passes() {
    contract::check_fresh(|| LimitLayer::new(3, 4, Fault::None)).unwrap();
    contract::check_fresh(|| LimitLayer::new(1, 64, Fault::None)).unwrap();
    contract::check_fresh(|| LimitLayer::new(3, 0, Fault::None)).unwrap();
    Contract::new().check_fresh_over(Number, || LimitLayer::new(3, 4, Fault::None)).unwrap();
}

#[test]
fn a_large_crowd_one_after_the_other_passes() {
    let contract = Contract::new().crowd(150).scripts(4);
    contract.check_fresh_over(Number, || LimitLayer::new(1, 200, Fault::None)).unwrap();
    let contract = contract.skip(Check::IdleHoldsNothing, "it reserves its place in poll_ready");
    let contract = contract.skip(Check::CompletionGivesBack, "its permit lives as long as the future");
    contract.check_over(Number, || GlobalConcurrencyLimitLayer::new(1)).unwrap();
}

#[test]
fn a_retry_passes() {
    contract::check_fresh(|| RetryLayer(RetryFault::None)).unwrap();
    contract::check_over(Number, || RetryLayer(RetryFault::None)).unwrap();
}

#[test]
fn a_timeout_passes() {
    contract::check(|| TimeoutLayer(Duration::from_secs(1), TimeoutFault::None)).unwrap();
    contract::check_over(Number, || TimeoutLayer(Duration::from_millis(30), TimeoutFault::None)).unwrap();
}

#[test]
fn a_layer_that_does_nothing_passes() {
    contract::check_over(Number, || WrapLayer(Wrap::Correctly)).unwrap();
    contract::check_over(Number, || WrapLayer(Wrap::ReadiesInTheCall)).unwrap();
}

#[test]
fn a_limit_that_follows_the_body_passes() {
    contract::check(|| HeldLayer::new(3, HeldFault::None)).unwrap();
    contract::check_over(Streaming::new(), || HeldLayer::new(3, HeldFault::None)).unwrap();
}

#[test]
fn a_cache_that_coalesces_passes() {
    contract::check_over(Number, || CoalesceLayer::new(CoalesceFault::None)).unwrap();
    contract::check_over(Number, || CoalesceLayer::new(CoalesceFault::Forgets)).unwrap();
}

#[test]
fn a_stack_passes() {
    // Nobody is refused here: whoever is refused may try again, as long as a retry outside cares for it.
    let stack = || (RetryLayer(RetryFault::None), LimitLayer::new(3, 64, Fault::None));
    contract::check(stack).unwrap();
    let stack = || (LimitLayer::new(3, 4, Fault::None), RetryLayer(RetryFault::None));
    contract::check(stack).unwrap();
}
