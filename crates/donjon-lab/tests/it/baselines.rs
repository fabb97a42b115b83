//! The baselines are their sources': rows of those projects' own tests.
//!
//! The budgets of AWS and gRPC are presets of `donjon-budget`, and their rows stand in its tests.

use std::time::Duration;

use donjon_lab::baselines::{
    breaker::{CountWindow, TimeWindow},
    codel::Codel,
    formulas::{aws_cubic_rate, ejection_threshold, envoy_admission, envoy_gradient, sre_throttle},
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
async fn t5_finagle_grants_its_share_and_its_reserve() {
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
async fn t5_towers_budget_grants_everything_from_three_quarters_on() {
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
async fn t9_codel_drops_as_follys_does() {
    let millis = Duration::from_millis;
    let mut codel = Codel::new(Instant::now(), millis(5), millis(100));
    for (pause, delay, drops) in [(110, 100, false), (90, 50, false), (0, 50, true), (110, 2, false), (90, 20, true)] {
        tokio::time::advance(millis(pause)).await;
        assert_eq!(codel.drops(Instant::now(), millis(delay)), drops, "{pause} ms later, after {delay} ms");
    }
}

/// resilience4j, `FixedSizeSlidingWindowMetricsTest`: four calls.
#[test]
fn t8_a_count_window_slides_as_resilience4js_does() {
    let mut window = CountWindow::new(4, Duration::from_secs(5));
    let mut rates = Vec::new();
    for failed in [true, false, false, false, false] {
        window.record(failed, Duration::from_millis(100));
        rates.push(window.failure_rate());
    }
    for (rate, expected) in rates.iter().zip([100.0, 50.0, 33.333_332, 25.0, 0.0]) {
        assert!((rate - expected).abs() < 1e-5, "{rates:?}");
    }
}

/// The same tests: two calls of 10 s and three of 100 ms.
#[test]
fn t8_a_count_window_measures_slow_calls_as_resilience4js_does() {
    let mut window = CountWindow::new(5, Duration::from_secs(5));
    for millis in [10_000, 10_000, 100, 100, 100] {
        window.record(false, Duration::from_millis(millis));
    }
    assert_eq!(window.mean(), Duration::from_millis(4060));
    assert_eq!(window.slow_rate(), 40.0);
}

/// resilience4j, `SlidingTimeWindowMetricsTest`: five seconds.
#[tokio::test(start_paused = true)]
async fn t8_a_time_window_slides_as_resilience4js_does() {
    let mut window = TimeWindow::new(Instant::now(), 5);
    for failed in [true, false, false] {
        window.record(Instant::now(), failed);
    }
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(window.snapshot(Instant::now()), (3, 1));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(window.snapshot(Instant::now()), (0, 0));
}

/// smithy-rs, `client_rate_limiter.rs`: 10 a second at most, throttled at t = 5; t = 5 to 11.
#[test]
fn t3_the_cubic_rate_is_that_of_the_aws_sdks() {
    let expected = [7.0, 9.64893600966, 10.000030849917364, 10.453284520772092, 13.408697022224185];
    let expected = expected.into_iter().chain([21.26626835427364, 36.425998516920465]);
    for (second, expected) in expected.enumerate() {
        let rate = aws_cubic_rate(10.0, second as f64);
        assert!((rate - expected).abs() < 1e-9, "{second}: {rate}, not {expected}");
    }
}

/// Site Reliability Engineering, chapter 21, with K = 2; Envoy's admission control at 0.95 and an aggression of 1.
#[test]
fn t11_clients_throttle_themselves_as_their_sources_say() {
    for (accepts, expected) in [(50.0, 0.0), (40.0, 0.198), (0.0, 0.990)] {
        assert!((sre_throttle(100.0, accepts, 2.0) - expected).abs() < 5e-4, "{accepts}");
    }
    for (successes, expected) in [(95.0, 0.0), (50.0, 0.469)] {
        assert!((envoy_admission(100.0, successes, 0.95, 1.0) - expected).abs() < 5e-4, "{successes}");
    }
}

/// gRPC proposal A50: one of five dead, one of ten at half; blind from 21.7 % dead on.
#[test]
fn t12_the_success_rate_ejection_has_its_threshold_and_is_blind() {
    let dead = |dead: usize, of: usize| (0..of).map(|host| f64::from(u8::from(host >= dead))).collect::<Vec<_>>();
    assert!((ejection_threshold(&dead(1, 5)) - 0.040).abs() < 5e-4);
    let mut half = vec![1.0; 10];
    half[0] = 0.5;
    assert!((ejection_threshold(&half) - 0.665).abs() < 5e-4);
    assert!(ejection_threshold(&dead(216, 1000)) > 0.0 && ejection_threshold(&dead(217, 1000)) < 0.0);
}

/// Envoy, `gradient_controller_test.cc`: a buffer of 50 %, a least round trip of 5 ms, a sample of 6 ms must grow.
#[test]
fn t7_envoys_gradient_grows_within_its_buffer() {
    assert!(envoy_gradient(10.0, 5.0, 6.0, 0.5) > 10.0);
    assert_eq!(envoy_gradient(100.0, 5.0, 100.0, 0.25), 60.0, "at most halved, and the root on top");
    assert_eq!(envoy_gradient(100.0, 5.0, 1.0, 0.25), 210.0, "at most doubled");
}
