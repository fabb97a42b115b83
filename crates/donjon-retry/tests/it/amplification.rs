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
    runtime::Builder,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};

/// Calls that are offered whatever becomes of them.
struct Load {
    /// A second; Poisson arrivals.
    rate: f64,
    seconds: f64,
    seed: u64,
    /// The callers leave after so many milliseconds, uniform from 1.
    patience: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// That reached the upstream.
    attempts: u64,
    calls: u64,
    answered: u64,
}

impl Load {
    const fn new(rate: f64, seconds: f64, seed: u64) -> Self {
        Self { rate, seconds, seed, patience: None }
    }

    /// `tiers` layers stand one over the other; an attempt takes 10 ms and fails with the probability of its time.
    fn run(&self, tiers: &[RetryLayer], failing: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Seen {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(self.offer(tiers, failing))
    }

    async fn offer(&self, tiers: &[RetryLayer], failing: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Seen {
        let began = Instant::now();
        let attempts = Arc::new(AtomicU64::new(0));
        let dice = Arc::new(Mutex::new(fastrand::Rng::with_seed(self.seed)));
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
        let mut service = BoxCloneService::new(upstream);
        for tier in tiers {
            service = BoxCloneService::new(tier.layer(service));
        }

        let mut running = JoinSet::new();
        let mut seen = Seen::default();
        let mut at = 0.0;
        loop {
            at -= (1.0 - dice.lock().unwrap().f64()).ln() / self.rate;
            if at > self.seconds {
                break;
            }
            sleep_until(began + Duration::from_secs_f64(at)).await;
            seen.calls += 1;
            let patience = match self.patience {
                Some(most) => Duration::from_millis(dice.lock().unwrap().u64(1..=most)),
                None => Duration::from_secs(3600),
            };
            running.spawn(timeout(patience, service.clone().oneshot(seen.calls)));
            while let Some(ended) = running.try_join_next() {
                seen.answered += u64::from(matches!(ended, Ok(Ok(Ok(_)))));
            }
        }
        while let Some(ended) = running.join_next().await {
            seen.answered += u64::from(matches!(ended, Ok(Ok(Ok(_)))));
        }
        seen.attempts = attempts.load(Ordering::Relaxed);
        seen
    }
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
            let seen = Load::new(rate, seconds, seed).run(&[layer], |_| 1.0);
            worst = worst.max(seen.attempts as f64 / seen.calls as f64);
            attempts += seen.attempts;
            calls += seen.calls;
            assert_eq!(seen.attempts - seen.calls, 24, "the bucket, and no more");
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
            let seen = Load::new(rate, 60.0, seed).run(std::slice::from_ref(&layer), |_| 0.3);
            attempts += seen.attempts;
            calls += seen.calls;
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
        let seen = Load::new(10.0, 60.0, seed).run(&tiers, |_| 1.0);
        attempts += seen.attempts;
        calls += seen.calls;
    }
    let load = attempts as f64 / calls as f64;
    assert!(load <= 1.15, "{load}");
}

#[test]
fn extra_sends_stay_within_what_was_earned_whatever_fails_and_whoever_leaves() {
    let layer = RetryLayer::default();
    for seed in 0..16 {
        let layer = layer.fresh();
        let mut dice = fastrand::Rng::with_seed(seed);
        let shares: Vec<f64> =
            (0..12).map(|_| if dice.bool() { dice.f64() } else { f64::from(dice.u8(..2)) }).collect();
        let mut load = Load::new(50.0, 12.0, seed);
        load.patience = (seed % 2 == 0).then_some(150);
        let seen = load.run(std::slice::from_ref(&layer), move |at| shares[(at as usize).min(11)]);

        let (stats, budget) = (layer.handle().stats(), layer.handle().budget().stats());
        assert_eq!(seen.attempts - seen.calls, stats.retries);
        assert_eq!(budget.granted - budget.given_back, stats.retries, "what was granted was sent or came back");
        assert_eq!(stats.cancelled > 0, load.patience.is_some());
        let first_try = seen.answered - stats.recovered;
        let earned = 24.0 + 0.3 * first_try as f64 + stats.recovered as f64;
        assert!(stats.retries as f64 <= earned, "seed {seed}: {stats:?}, {first_try} first-try successes");
    }
}

#[test]
fn without_a_budget_the_same_failures_multiply_the_load() {
    let layer = RetryLayer::default().budget(Budget::unlimited());
    let seen = Load::new(100.0, 10.0, 1).run(&[layer], |_| 1.0);
    assert_eq!(seen.attempts, 4 * seen.calls, "or the tests above would show nothing");
}
