use std::time::Duration;

use donjon_budget::{Backoff, Hints, Jitter, Step};
use donjon_core::Ratio;
use proptest::prelude::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn a_constant_of_zero_does_not_wait() {
    assert_eq!(Backoff::constant(Duration::ZERO).delay(&Step::new(3), u64::MAX), Duration::ZERO);
    assert_eq!(Backoff::constant(MS(7)).jitter(Jitter::None).delay(&Step::new(3), 0), MS(7));
}

#[test]
fn full_jitter_is_the_default_and_spreads_evenly() {
    let backoff = Backoff::constant(MS(100));
    assert_eq!(backoff.delay(&Step::new(1), 0), Duration::ZERO);
    assert_eq!(backoff.delay(&Step::new(1), u64::MAX / 2), Duration::from_nanos(49_999_999));
    assert_eq!(backoff.delay(&Step::new(1), u64::MAX), MS(100));
}

#[test]
fn rtt_scaled_follows_the_measured_time_up_to_25_times() {
    let backoff = Backoff::rtt_scaled();
    let most = |retry| backoff.delay(&Step::new(retry).rtt(MS(10)), u64::MAX).as_millis();
    assert_eq!((1..=6).map(most).collect::<Vec<_>>(), [40, 80, 160, 250, 250, 250]);
    assert_eq!(most(u32::MAX), 250);
    assert!(backoff.needs_rtt() && !Backoff::default().needs_rtt());
}

#[test]
fn rtt_shared_queues_behind_the_callers_now_retrying_and_spreads_by_the_failures() {
    let backoff = Backoff::rtt_shared();
    let wait =
        |retry, callers, random| backoff.delay(&Step::new(retry).rtt(MS(40)).retrying(callers), random).as_millis();
    assert_eq!(
        [0, 1, 2, 100].map(|callers| wait(1, callers, 0)),
        [0, 0, 10, 990],
        "a quarter of the rtt for each other"
    );
    assert_eq!([0, 1, 2, 100].map(|callers| wait(1, callers, u64::MAX)), [10, 10, 20, 1000]);
    let alone = |retry| wait(retry, 1, u64::MAX);
    assert_eq!([1, 2, 3, 7, 8, 9, u32::MAX].map(alone), [10, 20, 40, 640, 1280, 1280, 1280], "full jitter");
    assert_eq!([wait(3, 3, 0), wait(3, 3, u64::MAX)], [20, 60]);
}

#[test]
fn rtt_shared_sends_nobody_to_the_end_of_a_queue_beyond_the_cap() {
    let backoff = Backoff::rtt_shared().cap(MS(1000));
    let wait = |callers, random| backoff.delay(&Step::new(1).rtt(MS(40)).retrying(callers), random).as_millis();
    assert_eq!([wait(99, 0), wait(99, u64::MAX)], [980, 990]);
    assert_eq!([wait(101, 0), wait(101, u64::MAX / 2), wait(101, u64::MAX)], [0, 499, 1000]);
    let none = backoff.jitter(Jitter::None);
    assert_eq!(none.delay(&Step::new(2).rtt(MS(40)).retrying(3), 0), MS(40), "two others and twice ten");
}

#[test]
fn an_attempt_that_failed_at_once_is_no_measure() {
    let refused = Step::new(1).rtt(Duration::from_micros(3));
    assert_eq!(Backoff::rtt_scaled().delay(&refused, u64::MAX), MS(4));
    assert_eq!(Backoff::rtt_shared().delay(&refused, u64::MAX), Duration::from_micros(250));
}

proptest! {
    /// Whatever the settings and the measurements: no overflow, never beyond the cap (jitter of a share aside), never
    /// less than the hint where hints are honoured whole, and monotonous in the random word.
    #[test]
    fn stays_within_its_bounds(
        shape in 0..4, jitter in 0_usize..4, base: u64, cap: u64, retry: u32, previous: u64, rtt: u64, callers: u32,
        hint in proptest::option::of(any::<u64>()), random: u64,
    ) {
        let nanos = Duration::from_nanos;
        let backoff = match shape {
            0 => Backoff::constant(nanos(base)).cap(nanos(cap)),
            1 => Backoff::exponential(nanos(base), nanos(cap)),
            2 => Backoff::rtt_scaled().cap(nanos(cap)),
            _ => Backoff::rtt_shared().cap(nanos(cap)),
        };
        let half = Ratio::new(0.5).expect("a share");
        let backoff = backoff.jitter([Jitter::Full, Jitter::None, Jitter::Decorrelated, Jitter::Spread(half)][jitter]);
        let step = Step::new(retry).previous(nanos(previous)).rtt(nanos(rtt)).retrying(callers);

        let plain = backoff.delay(&step, random);
        let most = if jitter == 3 { nanos(cap) * 3 / 2 } else { nanos(cap) };
        prop_assert!(plain <= most + nanos(1));
        prop_assert!(backoff.delay(&step, 0) <= plain && plain <= backoff.delay(&step, u64::MAX));

        if let Some(hint) = hint.map(nanos) {
            let step = step.hint(Some(hint));
            prop_assert_eq!(backoff.delay(&step, random), hint.saturating_add(plain));
            prop_assert_eq!(backoff.hints(Hints::Exact).delay(&step, random), hint);
            prop_assert_eq!(backoff.hints(Hints::Capped).delay(&step, random), hint.min(nanos(cap)));
            prop_assert_eq!(backoff.hints(Hints::Ignore).delay(&step, random), plain);
        }
    }
}
