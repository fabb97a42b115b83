//! How much load retries add, and what they save, in virtual time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use donjon_core::{CallError, Fresh};
use donjon_retry::{Budget, NoRetry, RetryLayer};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tower::{Layer, ServiceExt, service_fn};

/// Poisson arrivals at `rate` a second, for so many seconds; an attempt takes 10 ms and fails with the probability that
/// holds at its time. `tiers` layers stand one over the other. The attempts that reached the upstream, and the calls.
fn run(
    rate: f64,
    seconds: f64,
    seed: u64,
    tiers: &[RetryLayer],
    failing: impl Fn(f64) -> f64 + Send + Sync + 'static,
) -> (u64, u64) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let began = Instant::now();
        let attempts = Arc::new(AtomicU64::new(0));
        let dice = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
        let failing = Arc::new(failing);
        let upstream = service_fn({
            let (attempts, dice) = (Arc::clone(&attempts), Arc::clone(&dice));
            move |n: u64| {
                attempts.fetch_add(1, Ordering::Relaxed);
                let failed = dice.lock().unwrap().f64() < failing(began.elapsed().as_secs_f64());
                async move {
                    sleep(Duration::from_millis(10)).await;
                    if failed { Err(CallError::new("it failed")) } else { Ok(n) }
                }
            }
        });

        let mut service = tower::util::BoxCloneService::new(upstream);
        for tier in tiers {
            service = tower::util::BoxCloneService::new(tier.layer(service));
        }
        let mut calls = JoinSet::new();
        let (mut at, mut count) = (0.0, 0);
        loop {
            at -= (1.0 - dice.lock().unwrap().f64()).ln() / rate;
            if at > seconds {
                break;
            }
            sleep_until(began + Duration::from_secs_f64(at)).await;
            count += 1;
            calls.spawn(service.clone().oneshot(count));
            while calls.try_join_next().is_some() {}
        }
        calls.join_all().await;
        (attempts.load(Ordering::Relaxed), count)
    })
}

#[test]
fn at_total_failure_the_load_grows_by_at_most_a_twentieth_at_any_rate_from_ten_a_second() {
    for rate in [10.0, 30.0, 100.0, 1000.0] {
        let mut worst = 0.0_f64;
        let (mut attempts, mut calls) = (0, 0);
        // At a thousand a second ten of the seconds are enough: the bucket is empty in the first.
        let (seconds, seeds) = if rate > 500.0 { (10.0, 1) } else { (60.0, 4) };
        for seed in 0..seeds {
            let layer = RetryLayer::default().seed(seed);
            let seen = run(rate, seconds, seed, &[layer], |_| 1.0);
            worst = worst.max(seen.0 as f64 / seen.1 as f64);
            attempts += seen.0;
            calls += seen.1;
            assert_eq!(seen.0 - seen.1, 24, "the bucket, and no more");
        }
        let mean = attempts as f64 / calls as f64;
        assert!(mean <= 1.05, "{rate}/s: {mean}, at worst {worst}");
    }
}

#[test]
fn at_three_in_ten_failing_the_budget_loses_nothing() {
    for (rate, seeds) in [(10.0, 16), (100.0, 4)] {
        let (mut lost, mut calls, mut attempts, mut failed) = (0, 0, 0, 0);
        for seed in 0..seeds {
            let layer = RetryLayer::default().seed(seed);
            let seen = run(rate, 60.0, seed, std::slice::from_ref(&layer), |_| 0.3);
            attempts += seen.0;
            calls += seen.1;
            lost += layer.handle().stats().gave_up(NoRetry::BudgetExhausted);
            failed += layer.handle().stats().failed();
        }
        let share = |n: u64| n as f64 / calls as f64;
        // Had there been no budget, at most these would not have failed.
        assert!(share(lost) <= 0.0005, "{rate}/s: {lost} of {calls} lost");
        assert!((1.38..1.45).contains(&share(attempts)), "{rate}/s: {} attempts a call", share(attempts));
        assert!(share(failed) <= 0.012, "{rate}/s: .0081 expected, {} failed", share(failed));
    }
}

#[test]
fn three_tiers_do_not_multiply() {
    let (mut attempts, mut calls) = (0, 0);
    for seed in 0..4 {
        let tiers: Vec<_> = (0..3).map(|tier| RetryLayer::default().seed(seed * 3 + tier)).collect();
        let seen = run(10.0, 60.0, seed, &tiers, |_| 1.0);
        attempts += seen.0;
        calls += seen.1;
    }
    let load = attempts as f64 / calls as f64;
    assert!(load <= 1.15, "{load}");
}

#[test]
fn extra_sends_stay_within_what_was_earned_whatever_fails_when() {
    let layer = RetryLayer::default();
    for seed in 0..12 {
        let layer = layer.fresh();
        let mut dice = fastrand::Rng::with_seed(seed);
        let shares: Vec<f64> =
            (0..12).map(|_| if dice.bool() { dice.f64() } else { f64::from(dice.u8(..2)) }).collect();
        let (attempts, calls) =
            run(50.0, 12.0, seed, std::slice::from_ref(&layer), move |at| shares[(at as usize).min(11)]);
        let stats = layer.handle().stats();
        assert_eq!(attempts - calls, stats.retries);
        let first_try = calls - stats.failed() - stats.recovered;
        // Failed calls may have been retried or not; what succeeded at its first attempt was neither.
        let earned = 24.0 + 0.3 * first_try as f64 + stats.recovered as f64;
        assert!(stats.retries as f64 <= earned, "seed {seed}: {stats:?}, {first_try} first-try successes");
    }
}

#[test]
fn without_a_budget_the_same_failures_multiply_the_load() {
    let layer = RetryLayer::default().budget(Budget::unlimited());
    let (attempts, calls) = run(100.0, 10.0, 1, &[layer], |_| 1.0);
    assert_eq!(attempts, 4 * calls, "or the tests above would show nothing");
}
