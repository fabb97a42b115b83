//! Published rows of other implementations' own tests.

use std::time::Duration;

use donjon_budget::{Backoff, Budget, Cost, Hints, Jitter, Step};
use donjon_core::Ratio;

const MS: fn(u64) -> Duration = Duration::from_millis;
const S: fn(u64) -> Duration = Duration::from_secs;

/// How an attempt went.
#[derive(Clone, Copy)]
enum Attempt {
    Ok,
    Failed,
    TimedOut,
    Throttled,
    Hinted(Duration),
}

use Attempt::{Failed, Hinted, Ok as Success, Throttled, TimedOut};

/// One call, as the layer makes it, with the longest of the jittered waits: the waits with the tokens left after each,
/// then the tokens at the end.
fn call(budget: &Budget, backoff: &Backoff, max_attempts: u32, attempts: &[Attempt]) -> (Vec<(Duration, f64)>, f64) {
    let mut waits = Vec::new();
    let mut receipt = None;
    for (attempt, outcome) in (1..).zip(attempts) {
        let (cost, hint) = match *outcome {
            Success => {
                match receipt {
                    Some(receipt) => donjon_budget::Receipt::succeeded(receipt),
                    None => budget.deposit(),
                }
                return (waits, budget.stats().tokens);
            }
            Failed => (Cost::Failure, None),
            TimedOut => (Cost::Timeout, Some(S(1))),
            Throttled => (Cost::Throttled, None),
            Hinted(hint) => (Cost::Failure, Some(hint)),
        };
        if attempt >= max_attempts {
            budget.record_failure(cost);
            break;
        }
        let Some(withdrawal) = budget.withdraw(cost) else { break };
        let step = Step::new(attempt).throttled(cost == Cost::Throttled).hint(hint);
        waits.push((backoff.delay(&step, u64::MAX), budget.stats().tokens));
        receipt = Some(withdrawal.spend());
    }
    (waits, budget.stats().tokens)
}

fn seconds<const N: usize>(rows: [(u64, f64); N]) -> Vec<(Duration, f64)> {
    rows.into_iter().map(|(wait, tokens)| (S(wait), tokens)).collect()
}

fn millis<const N: usize>(rows: [(u64, f64); N]) -> Vec<(Duration, f64)> {
    rows.into_iter().map(|(wait, tokens)| (MS(wait), tokens)).collect()
}

/// smithy-rs, aws-smithy-runtime/src/client/retries/strategy/standard.rs, tests of the standard mode 2.0.
#[test]
fn t1_aws_standard_mode_2_0() {
    let backoff = Backoff::aws_2_0();
    let of = |capacity| Budget::builder().capacity(capacity).cost(5).timeout_cost(10).deposit(Ratio::ONE).build();

    let eventual = call(&Budget::aws_2_0(), &backoff, 3, &[Failed, Failed, Success]);
    assert_eq!(eventual, (seconds([(1, 495.0), (2, 490.0)]), 495.0));
    let exhausted = call(&Budget::aws_2_0(), &backoff, 3, &[Failed; 3]);
    assert_eq!(exhausted, (seconds([(1, 495.0), (2, 490.0)]), 490.0));
    let small_bucket = call(&of(5), &backoff, 3, &[Failed; 3]);
    assert_eq!(small_bucket, (seconds([(1, 0.0)]), 0.0));
    let timeouts = call(&of(100), &backoff, 3, &[TimedOut, TimedOut, Success]);
    assert_eq!(timeouts, (seconds([(1, 90.0), (1, 80.0)]), 90.0));
    let five = call(&Budget::aws_2_0(), &backoff, 5, &[Failed; 5]);
    assert_eq!(five, (seconds([(1, 495.0), (2, 490.0), (4, 485.0), (8, 480.0)]), 480.0));
    let capped = call(&Budget::aws_2_0(), &backoff.cap(S(3)), 5, &[Failed; 5]);
    assert_eq!(capped, (seconds([(1, 495.0), (2, 490.0), (3, 485.0), (3, 480.0)]), 480.0));

    assert_eq!(backoff.delay(&Step::new(1).hint(Some(S(30))), u64::MAX), S(20), "an explicit delay is capped");
    assert_eq!(backoff.delay(&Step::new(33), u64::MAX), S(20), "no overflow");
}

/// The same file, and botocore, tests/unit/retries/test_standard_retry_v2_1.py: Retry Behavior 2.1.
#[test]
fn t2_aws_retry_behavior_2_1() {
    let backoff = Backoff::aws_2_1();
    let of = |capacity| Budget::builder().capacity(capacity).cost(14).throttled_cost(5).deposit(Ratio::ONE).build();

    let eventual = call(&Budget::aws_2_1(), &backoff, 3, &[Failed, Failed, Success]);
    assert_eq!(eventual, (millis([(50, 486.0), (100, 472.0)]), 486.0));
    let exhausted = call(&Budget::aws_2_1(), &backoff, 3, &[Failed; 3]);
    assert_eq!(exhausted, (millis([(50, 486.0), (100, 472.0)]), 472.0));
    assert_eq!(call(&of(14), &backoff, 3, &[Failed; 3]), (millis([(50, 0.0)]), 0.0));
    assert_eq!(call(&of(0), &backoff, 3, &[Failed; 3]), (vec![], 0.0));
    assert_eq!(call(&of(20), &backoff, 3, &[Failed; 3]), (millis([(50, 6.0)]), 6.0));

    let thirty = of(30);
    let recovered = call(&thirty, &backoff, 3, &[Failed, Failed, Success]);
    assert_eq!(recovered, (millis([(50, 16.0), (100, 2.0)]), 16.0));
    let recovered = call(&thirty, &backoff, 3, &[Failed, Success]);
    assert_eq!(recovered, (millis([(50, 2.0)]), 16.0));

    let throttled = call(&Budget::aws_2_1(), &backoff, 3, &[Throttled, Success]);
    assert_eq!(throttled, (millis([(1000, 495.0)]), 500.0));
    let capped = call(&Budget::aws_2_1(), &backoff.cap(MS(200)), 5, &[Failed; 5]);
    assert_eq!(capped, (millis([(50, 486.0), (100, 472.0), (200, 458.0), (200, 444.0)]), 444.0));

    // Hints after a 500; an invalid or negative one is no hint.
    for (hint, wait) in [(Some(1500), 1500), (Some(0), 50), (Some(10_000), 5050), (None, 50)] {
        let attempt = hint.map_or(Failed, |hint| Hinted(MS(hint)));
        assert_eq!(call(&Budget::aws_2_1(), &backoff, 2, &[attempt, Success]).0, millis([(wait, 486.0)]));
    }
    let ranges: Vec<_> = (1..=11).map(|retry| backoff.delay(&Step::new(retry), u64::MAX).as_millis()).collect();
    assert_eq!(ranges, [50, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 20000, 20000]);
    let shortest: Vec<_> = (1..=11).map(|retry| backoff.delay(&Step::new(retry), 0)).collect();
    assert_eq!(shortest, [Duration::ZERO; 11]);
}

/// donjon's default differs from T2 on purpose: what a server asks for is kept to the whole.
#[test]
fn t2_hints_are_honoured_whole_by_default() {
    let backoff = Backoff::exponential(MS(50), S(20));
    let hint = |ms| Step::new(1).hint(Some(MS(ms)));
    assert_eq!(backoff.delay(&hint(10_000), 0), S(10));
    assert_eq!(backoff.delay(&hint(10_000), u64::MAX), MS(10_050));
    assert_eq!(backoff.at_least(&hint(10_000)), S(10));
}

/// grpc-go, test/retry_test.go, TestRetryThrottling: at most 10 tokens, ratio 0.5, 4 attempts.
#[test]
fn t4_grpc_retry_throttling() {
    const OK: [usize; 10] = [0, 3, 6, 10, 11, 12, 13, 14, 16, 18];
    let budget = Budget::grpc(10, Ratio::new(0.5).expect("a share"));
    let backoff = Backoff::grpc(MS(1), MS(1));
    let mut index = 0;
    let mut seen = Vec::new();
    for _ in 0..12 {
        let attempts: Vec<_> =
            (index..index + 4).map(|index| if OK.contains(&index) { Success } else { Failed }).collect();
        let (waits, tokens) = call(&budget, &backoff, 4, &attempts);
        let last = index + waits.len();
        seen.push((OK.contains(&last), last, tokens));
        index = last + 1;
    }
    assert_eq!(
        seen,
        [
            (true, 0, 10.0),
            (true, 3, 8.5),
            (true, 6, 7.0),
            (false, 8, 5.0),
            (false, 9, 4.0),
            (true, 10, 4.5),
            (true, 11, 5.0),
            (true, 12, 5.5),
            (true, 13, 6.0),
            (true, 14, 6.5),
            (true, 16, 6.0),
            (false, 17, 5.0),
        ]
    );
}

/// gRPC proposal A6: the back-off is spread by a fifth either way, and a pushback is followed exactly.
#[test]
fn t4_grpc_backoff_is_spread_by_a_fifth() {
    let backoff = Backoff::grpc(S(1), S(100));
    assert_eq!(backoff.delay(&Step::new(1), 0), MS(800));
    assert_eq!(backoff.delay(&Step::new(1), u64::MAX), MS(1200));
    assert_eq!(backoff.delay(&Step::new(3), u64::MAX), MS(4800));
    assert_eq!(backoff.delay(&Step::new(1).hint(Some(MS(3))), u64::MAX), MS(3));
    assert_eq!(backoff.at_least(&Step::new(1).hint(Some(S(3)))), S(3));
}

/// Finagle, RetryBudgetTest.scala: over 10,000 pairs of a deposit and a withdrawal `n * p` are granted, and the reserve
/// on top. (tower's own budget grants all 10,000 for .75, .99 and .999.)
#[test]
fn t5_a_ratio_is_exact_to_one_in_ten_thousand() {
    for (ratio, granted) in [
        (0.1, 1000),
        (0.5, 5000),
        (0.25, 2500),
        (0.75, 7500),
        (0.99, 9900),
        (0.999, 9990),
        (0.9999, 9999),
        (0.01, 100),
        (0.001, 10),
        (0.0001, 1),
    ] {
        for reserve in [0, 100] {
            let budget = Budget::builder()
                .capacity(20_000)
                .initial(reserve)
                .deposit(Ratio::new(ratio).expect("a share"))
                .refund(false)
                .build();
            let seen = (0..10_000)
                .filter(|_| {
                    budget.deposit();
                    budget.withdraw(Cost::Failure).map(donjon_budget::Withdrawal::spend).is_some()
                })
                .count();
            let expected = (granted + reserve as usize).min(10_000);
            assert_eq!(seen, expected, "ratio {ratio}, reserve {reserve}");
        }
    }
}

/// AWS Architecture Blog, "Exponential Backoff And Jitter": `sleep = min(cap, random_between(base, sleep * 3))`.
#[test]
fn decorrelated_jitter_follows_the_wait_before() {
    let backoff = Backoff::exponential(MS(5), S(2)).jitter(Jitter::Decorrelated).hints(Hints::Ignore);
    let after = |previous| Step::new(9).previous(previous);
    assert_eq!(backoff.delay(&after(Duration::ZERO), 0), MS(5));
    assert_eq!(backoff.delay(&after(Duration::ZERO), u64::MAX), MS(15), "the wait before the first counts as the base");
    assert_eq!(backoff.delay(&after(MS(10)), 0), MS(5));
    assert_eq!(backoff.delay(&after(MS(10)), u64::MAX), MS(30));
    assert_eq!(backoff.delay(&after(S(1)), u64::MAX), S(2), "capped");
}
