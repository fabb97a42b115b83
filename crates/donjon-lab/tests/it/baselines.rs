//! The baselines are their sources': rows of those projects' own tests.
//!
//! The budgets of AWS and gRPC are presets of `donjon-budget`, and their rows stand in its tests.

use std::time::Duration;

use donjon_lab::baselines::{
    codel::Codel,
    retry_budget::{Finagle, SreBook},
};
use tokio::time::Instant;
use tower::retry::budget::{Budget, TpsBudget};

/// How many of 10,000 retries are granted when a deposit is made before each.
fn granted(budget: &impl Budget) -> u32 {
    let pair = |_: &u32| {
        budget.deposit();
        budget.withdraw()
    };
    (0..10_000_u32).filter(pair).count() as u32
}

/// Finagle, `RetryBudgetTest.scala`: 10,000 pairs grant n * p + ttl * min, more or less one.
#[tokio::test(start_paused = true)]
async fn finagle_grants_its_share_and_its_reserve() {
    for share in [0.1, 0.25, 0.5, 0.75, 0.99, 0.999, 0.9999, 0.01, 0.001, 0.0001] {
        for (ttl, min) in [(60, 0), (10, 3)] {
            let budget = Finagle::new(Duration::from_secs(ttl), min, share);
            let expected = 10_000.min((10_000.0 * share) as i64 + ttl as i64 * i64::from(min));
            let granted = i64::from(granted(&budget));
            assert!((granted - expected).abs() <= 1, "{share}: {granted}, not {expected}");
        }
    }
}

/// The same row for tower's budget, which rounds a reciprocal: shares of three quarters and more grant everything.
#[tokio::test(start_paused = true)]
async fn towers_budget_grants_everything_from_three_quarters_on() {
    for (share, expected) in [(0.5, 5_000), (0.75, 10_000), (0.99, 10_000), (0.999, 10_000)] {
        assert_eq!(granted(&TpsBudget::new(Duration::from_secs(10), 0, share)), expected, "{share}");
    }
}

#[tokio::test(start_paused = true)]
async fn finagles_deposits_expire() {
    let budget = Finagle::new(Duration::from_secs(10), 0, 1.0);
    budget.deposit();
    tokio::time::advance(Duration::from_millis(8_900)).await;
    assert!(budget.withdraw());
    budget.deposit();
    tokio::time::advance(Duration::from_millis(10_100)).await;
    assert!(!budget.withdraw());
}

/// Site Reliability Engineering, chapter 21: a request is retried only as long as the ratio is below 10 %.
#[tokio::test(start_paused = true)]
async fn the_sre_books_client_retries_a_tenth() {
    let budget = SreBook::new(0.1);
    assert_eq!(granted(&budget), 1_112);
    tokio::time::advance(Duration::from_secs(121)).await;
    assert!(!budget.withdraw(), "two minutes later nothing is known");
}

/// folly, `CodelTest.cpp`: a target of 5 ms, an interval of 100 ms.
#[tokio::test(start_paused = true)]
async fn codel_drops_as_follys_does() {
    let millis = Duration::from_millis;
    let mut codel = Codel::new(Instant::now(), millis(5), millis(100));
    for (pause, delay, drops) in [(110, 100, false), (90, 50, false), (0, 50, true), (110, 2, false), (90, 20, true)] {
        tokio::time::advance(millis(pause)).await;
        assert_eq!(codel.drops(Instant::now(), millis(delay)), drops, "{pause} ms later, after {delay} ms");
    }
}
