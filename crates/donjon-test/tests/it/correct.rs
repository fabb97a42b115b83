//! Correct layers pass every check.

use donjon_test::{
    Number,
    contract::{self, Check, Contract},
};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_layer::Identity;

#[test]
fn the_identity_passes() {
    contract::check(Identity::new).unwrap();
    contract::check_over(Number, Identity::new).unwrap();
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
