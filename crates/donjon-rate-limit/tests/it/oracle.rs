//! Beside governor, which has the same algorithm over a clock of its own.

use std::{num::NonZeroU32, time::Duration};

use donjon_rate_limit::{LocalLimiter, Rate};
use fastrand::Rng;
use governor::{Quota, RateLimiter, clock::FakeRelativeClock};
use tokio::time::Instant;

use crate::support::ask;

/// Rates whose tokens take a whole number of nanoseconds, since governor rounds the rest down.
const RATES: [u32; 8] = [1, 2, 5, 8, 20, 100, 1000, 64_000];

#[test]
fn it_decides_as_governor_does() {
    let mut rng = Rng::with_seed(7);
    let (mut admitted, mut refused) = (0, 0);
    for _ in 0..2_000 {
        let tokens = RATES[rng.usize(0..RATES.len())];
        let burst = rng.u32(1..20);
        let clock = FakeRelativeClock::default();
        let quota = Quota::per_second(NonZeroU32::new(tokens).unwrap()).allow_burst(NonZeroU32::new(burst).unwrap());
        let governor = RateLimiter::direct_with_clock(quota, clock.clone());
        let limiter = LocalLimiter::new(Rate::per_second(u64::from(tokens)).burst(u64::from(burst)));
        let (mut now, step) = (Instant::now(), 1_000_000_000 / u64::from(tokens));
        for _ in 0..40 {
            let pause = Duration::from_nanos(match rng.u8(0..4) {
                0 | 1 => 0,
                2 => rng.u64(0..=step * 2),
                _ => rng.u64(0..=step * 25),
            });
            now += pause;
            clock.advance(pause);
            let cost = NonZeroU32::new(rng.u32(1..=burst.min(3))).unwrap();
            let theirs = governor.check_n(cost).expect("no more than the burst").is_ok();
            let ours = ask(&limiter, now, u64::from(cost.get())).is_ok();
            assert_eq!(ours, theirs, "{tokens}/s, burst {burst}, cost {cost}");
            *(if ours { &mut admitted } else { &mut refused }) += 1;
        }
    }
    assert!(admitted > 10_000 && refused > 10_000, "both were asked: {admitted} and {refused}");
}
