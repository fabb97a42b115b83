//! Never more than `burst + rate × window` in any window, whatever comes when.

use std::time::Duration;

use donjon_rate_limit::{LocalLimiter, Rate};
use fastrand::Rng;
use tokio::time::Instant;

use crate::support::ask;

/// A bucket in exact arithmetic, in parts of a token: one token is `period` parts, and each nanosecond brings `tokens`.
/// It overflows at some call exactly if some window that ends there has more than `burst + rate × window`.
struct Exact {
    level: u128,
    at: u64,
    rate: Rate,
}

impl Exact {
    fn new(rate: Rate) -> Self {
        Self { level: 0, at: 0, rate }
    }

    fn leak_to(&mut self, at: u64) {
        self.level = self.level.saturating_sub(u128::from(at - self.at) * u128::from(self.rate.tokens()));
        self.at = at;
    }

    fn take(&mut self, cost: u64) {
        self.level += u128::from(cost) * self.rate.period().as_nanos();
        assert!(self.level <= self.full(), "more than the rate allows: {} at {}", self.rate, self.at);
    }

    /// Whether there is room for a call of this cost, with so many nanoseconds to spare.
    fn has_room(&self, cost: u64, spare: u64) -> bool {
        let spare = u128::from(spare) * u128::from(self.rate.tokens());
        self.level + u128::from(cost) * self.rate.period().as_nanos() + spare <= self.full()
    }

    fn full(&self) -> u128 {
        u128::from(self.rate.max_burst()) * self.rate.period().as_nanos()
    }
}

fn rate(rng: &mut Rng) -> Rate {
    let tokens = if rng.bool() { rng.u64(1..20) } else { rng.u64(1..60_000) };
    let period = match rng.u8(0..4) {
        0 => Duration::from_millis(rng.u64(1..2000)),
        1 => Duration::from_nanos(rng.u64(1_000_000..10_000_000_000)),
        2 => Duration::from_secs(60),
        _ => Duration::from_secs(1),
    };
    Rate::per(tokens, period).burst(rng.u64(1..12))
}

/// Arrivals of one sequence: at once, a step apart, exactly when told to come back, or after a long pause.
fn sequence(rng: &mut Rng, arrivals: u32) -> u64 {
    let rate = rate(rng);
    let limiter = LocalLimiter::new(rate);
    // After it was made: before that is no time.
    let start = Instant::now();
    let step = u64::try_from(rate.period().as_nanos()).unwrap() / rate.tokens();
    let (mut exact, mut at, mut told, mut admitted) = (Exact::new(rate), 0, None, 0);
    for _ in 0..arrivals {
        at += match rng.u8(0..8) {
            0..=2 => 0,
            3 | 4 => rng.u64(0..=2 * step + 1),
            5 | 6 => told.take().unwrap_or(step),
            _ => rng.u64(0..=20 * step + 1),
        };
        exact.leak_to(at);
        let cost = if rng.bool() { 1 } else { rng.u64(0..=rate.max_burst() + 1) };
        match ask(&limiter, start + Duration::from_nanos(at), cost) {
            Ok(()) => {
                exact.take(cost);
                admitted += 1;
            }
            Err(None) => assert!(cost > rate.max_burst(), "only what costs too much never comes in"),
            Err(Some(after)) => {
                // The limit is not slower either: it refuses what does not fit. And who is told, is told the truth.
                let after = u64::try_from(after.as_nanos()).unwrap();
                assert!(!exact.has_room(cost, 0), "{rate} refuses {cost} at {at} for no reason");
                let mut then = Exact { level: exact.level, ..Exact::new(rate) };
                then.at = at;
                then.leak_to(at + after);
                assert!(then.has_room(cost, 0), "{rate} sends {cost} at {at} back too early");
                told = Some(after);
            }
        }
    }
    admitted
}

#[test]
fn a_million_arrival_sequences_never_admit_more_than_burst_and_rate_allow() {
    let mut rng = Rng::with_seed(4);
    let admitted: u64 = (0..1_000_000).map(|_| sequence(&mut rng, 4)).sum();
    assert!(admitted > 1_000_000, "most of it was not refusals: {admitted}");
}

#[test]
fn long_arrival_sequences_keep_to_the_same_bound() {
    let mut rng = Rng::with_seed(5);
    let admitted: u64 = (0..1_000).map(|_| sequence(&mut rng, 500)).sum();
    assert!(admitted > 100_000, "most of it was not refusals: {admitted}");
}

#[test]
fn every_window_of_a_recorded_run_is_counted_by_hand() {
    let rate = Rate::per_second(7).burst(3);
    let limiter = LocalLimiter::new(rate);
    let start = Instant::now();
    let mut rng = Rng::with_seed(6);
    let (mut at, mut admitted) = (0u64, Vec::new());
    for _ in 0..2_000 {
        at += rng.u64(0..200_000_000);
        if ask(&limiter, start + Duration::from_nanos(at), 1).is_ok() {
            admitted.push(at);
        }
    }
    for (first, from) in admitted.iter().enumerate() {
        for (last, to) in admitted.iter().enumerate().skip(first) {
            let count = (last - first + 1) as u128 * 1_000_000_000;
            assert!(count <= 3_000_000_000 + 7 * u128::from(to - from), "from {from} to {to}");
        }
    }
}

#[test]
fn threads_that_share_a_limit_get_its_tokens_once() {
    let limiter = LocalLimiter::new(Rate::per_second(1).burst(1000));
    let now = Instant::now();
    let taken: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..1000).map(|_| u64::from(ask(&limiter, now, 1).is_ok())).sum::<u64>()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 1000);
}

#[test]
fn a_limit_that_runs_for_a_century_keeps_its_rate() {
    let limiter = LocalLimiter::new(Rate::per_second(65_521).burst(2));
    let mut at = Instant::now();
    for pause in [0, 1, 60, 3600, 86_400, 365 * 86_400, 20 * 365 * 86_400, 60 * 365 * 86_400] {
        at += Duration::from_secs(pause);
        if pause > 0 {
            assert_eq!(ask(&limiter, at, 1), Ok(()), "after {pause} s");
            assert_eq!(ask(&limiter, at, 1), Ok(()), "after {pause} s");
        }
        if pause > 0 {
            assert_eq!(ask(&limiter, at, 1), Err(Some(Duration::from_nanos(15_263))), "after {pause} s");
        }
    }
}
