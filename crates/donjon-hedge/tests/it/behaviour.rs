//! When a copy is sent, and whose answer counts.

use donjon_budget::Budget;
use donjon_core::{CallError, Classify, ClassifyRejection, Deadline, Fresh, Outcome, Reject, Scope, Sent};
use donjon_hedge::{Delay, HedgeLayer, Standard};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use crate::support::{Reply, Unsent, Upstream, hedge, millis};

#[tokio::test(start_paused = true)]
async fn a_late_call_is_sent_once_more_and_the_first_answer_counts() {
    let upstream = Upstream::replies([Reply::Never, Reply::OkAfter(5)]);
    let layer = hedge(Delay::fixed(millis(50)));
    let began = Instant::now();
    assert_eq!(layer.layer(upstream.clone()).oneshot(1).await.unwrap(), 1);
    assert_eq!(upstream.millis(), [0, 50]);
    assert!((55..=56).contains(&began.elapsed().as_millis()));
    assert_eq!(upstream.running(), 0, "the loser is dropped");
    let stats = layer.handle().stats();
    assert_eq!((stats.hedges, stats.won, stats.unpaid), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_first_copy_may_still_win() {
    let upstream = Upstream::replies([Reply::OkAfter(60), Reply::OkAfter(50)]);
    let layer = hedge(Delay::fixed(millis(50)));
    assert_eq!(layer.layer(upstream.clone()).oneshot(1).await.unwrap(), 0);
    assert_eq!(upstream.running(), 0);
    let stats = layer.handle().stats();
    assert_eq!((stats.hedges, stats.won), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_in_time_is_sent_once() {
    let upstream = Upstream::replies([Reply::OkAfter(49)]);
    assert_eq!(hedge(Delay::fixed(millis(50))).layer(upstream.clone()).oneshot(1).await.unwrap(), 0);
    assert_eq!(upstream.millis(), [0]);
}

#[tokio::test(start_paused = true)]
async fn several_delays_count_from_the_beginning_in_any_order() {
    let upstream = Upstream::new(|_| Reply::OkAfter(1000));
    let layer = hedge(Delay::several([millis(70), millis(20), millis(30)]));
    assert_eq!(layer.layer(upstream.clone()).oneshot(1).await.unwrap(), 0);
    assert_eq!(upstream.millis(), [0, 20, 30, 70]);
}

#[tokio::test(start_paused = true)]
async fn a_delay_of_zero_sends_both_at_once_and_no_delay_none() {
    let upstream = Upstream::new(|_| Reply::OkAfter(10));
    hedge(Delay::fixed(millis(0))).layer(upstream.clone()).oneshot(1).await.unwrap();
    assert_eq!(upstream.millis(), [0, 0]);

    let upstream = Upstream::new(|_| Reply::OkAfter(1000));
    hedge(Delay::several([])).layer(upstream.clone()).oneshot(1).await.unwrap();
    assert_eq!(upstream.millis(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_hedge_does_not_fail_the_call_while_the_first_copy_runs() {
    let upstream = Upstream::replies([Reply::OkAfter(100), Reply::FailAfter(1)]);
    assert_eq!(hedge(Delay::fixed(millis(10))).layer(upstream).oneshot(1).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_one_standing_decides() {
    let upstream = Upstream::replies([Reply::FailAfter(30), Reply::FailAfter(50)]);
    let layer = hedge(Delay::fixed(millis(10)));
    let error = layer.layer(upstream.clone()).oneshot(1).await.unwrap_err();
    assert_eq!(error.to_string(), "call 1 failed");
    assert_eq!(upstream.millis(), [0, 10]);

    let upstream = Upstream::replies([Reply::FailAfter(60), Reply::FailAfter(5)]);
    let error = layer.layer(upstream).oneshot(1).await.unwrap_err();
    assert_eq!(error.to_string(), "call 0 failed");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_was_sent_is_preferred_to_a_refusal() {
    use Reply::{FailAfter, Never, OkAfter, RefuseAfter};

    // The first copy fails, and the hedge that it brings forward, or that is out by then, is refused; and so on.
    for (replies, answer) in [
        (vec![FailAfter(3), RefuseAfter(0)], "call 0 failed"),
        (vec![FailAfter(3), RefuseAfter(5)], "call 0 failed"),
        (vec![FailAfter(30), RefuseAfter(50)], "call 0 failed"),
        (vec![FailAfter(60), RefuseAfter(5)], "call 0 failed"),
        (vec![RefuseAfter(60), FailAfter(5)], "call 1 failed"),
        (vec![RefuseAfter(30), FailAfter(50)], "call 1 failed"),
        (vec![FailAfter(12), FailAfter(20), RefuseAfter(30)], "call 1 failed"),
        (vec![FailAfter(30), RefuseAfter(20), RefuseAfter(50)], "call 0 failed"),
        (vec![FailAfter(30), RefuseAfter(20), FailAfter(50)], "call 2 failed"),
        (vec![RefuseAfter(30), RefuseAfter(40), RefuseAfter(50)], "a refusal"),
        (vec![FailAfter(30), RefuseAfter(40), OkAfter(50)], "2"),
        (vec![FailAfter(30), Never, OkAfter(50)], "2"),
    ] {
        let script = replies.clone();
        let upstream = Upstream::new(move |n| script[n]);
        let delays = [millis(10), millis(20)].into_iter().take(replies.len() - 1);
        let result = hedge(Delay::several(delays)).layer(upstream.clone()).oneshot(1).await;
        let text = match &result {
            Ok(n) => n.to_string(),
            Err(error) if error.as_rejection().is_some() => "a refusal".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(text, answer, "{replies:?}");
        assert_eq!(upstream.running(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_was_sent_is_preferred_to_one_that_was_not() {
    let classify = |result: Result<&usize, &CallError>| match result {
        Err(error) if error.as_error().is::<Unsent>() => Outcome::Transient { sent: Sent::NotSent, retry_after: None },
        result => ClassifyRejection.classify(result),
    };
    for (replies, answer) in [
        ([Reply::FailAfter(3), Reply::UnsentAfter(5)], "call 0 failed"),
        ([Reply::UnsentAfter(3), Reply::FailAfter(5)], "call 1 failed"),
        ([Reply::UnsentAfter(3), Reply::UnsentAfter(5)], "not sent"),
    ] {
        let layer = HedgeLayer::new(Standard::new().classify(classify)).budget(&Budget::unlimited());
        let layer = layer.delay(Delay::fixed(millis(50)));
        let error = layer.layer(Upstream::replies(replies)).oneshot(1).await.unwrap_err();
        assert_eq!(error.to_string(), answer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fast_failure_brings_the_hedge_forward() {
    let upstream = Upstream::replies([Reply::FailAfter(3), Reply::OkAfter(5)]);
    assert_eq!(hedge(Delay::fixed(millis(50))).layer(upstream.clone()).oneshot(1).await.unwrap(), 1);
    assert_eq!(upstream.millis(), [0, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_at_once_has_no_more_hedges_than_the_delay_has_times() {
    for (delay, copies) in [(Delay::fixed(millis(50)), 2), (Delay::learned(), 3), (Delay::several([]), 1)] {
        let upstream = Upstream::new(|_| Reply::FailAfter(1));
        let layer = hedge(delay);
        layer.handle().set_max_hedges(1000).unwrap();
        layer.layer(upstream.clone()).oneshot(1).await.unwrap_err();
        assert_eq!(upstream.millis().len(), copies, "{layer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_one_call_earn_once() {
    let layer = HedgeLayer::default();
    let service = layer.layer(Upstream::new(|_| Reply::OkAfter(0)));
    for attempt in [1, 2, 3, 1] {
        Scope::current().with_attempt(attempt).wrap(service.clone().oneshot(1)).await.unwrap();
    }
    assert_eq!(layer.handle().share().stats().tokens, 0.04, "two calls, of which one was sent three times");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_layer_inside_is_not_hedged() {
    let upstream = Upstream::replies([Reply::RefuseAfter(3)]);
    assert!(hedge(Delay::fixed(millis(50))).layer(upstream.clone()).oneshot(1).await.is_err());
    assert_eq!(upstream.millis(), [0]);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_there_is_no_hedge() {
    let budget = Budget::new();
    let layer = HedgeLayer::default().delay(Delay::fixed(millis(10))).budget(&budget);
    let upstream = Upstream::new(|_| Reply::OkAfter(100));
    let service = layer.layer(upstream.clone());
    for _ in 0..49 {
        service.clone().oneshot(1).await.unwrap();
    }
    assert_eq!(upstream.millis().len(), 49, "fifty calls earn one");
    service.clone().oneshot(1).await.unwrap();
    assert_eq!(upstream.millis().len(), 51);
    let stats = layer.handle().stats();
    assert_eq!((stats.hedges, stats.unpaid), (1, 49));
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_hedges_stay_within_their_share() {
    for (seed, fail) in [(1_u64, false), (2, true)] {
        let layer = HedgeLayer::default().delay(Delay::several([millis(1), millis(2)]));
        let upstream = Upstream::new(move |n| match (n as u64).wrapping_mul(seed).wrapping_mul(0x9e37_79b9) % 7 {
            0 if fail => Reply::FailAfter(0),
            1 => Reply::OkAfter(1),
            _ => Reply::OkAfter(20),
        });
        let service = layer.layer(upstream.clone());
        for calls in 1..=2_000_u64 {
            let _ = service.clone().oneshot(1).await;
            let hedges = layer.handle().stats().hedges;
            assert!(hedges <= calls / 50, "{hedges} hedges of {calls} calls");
        }
        assert_eq!(layer.handle().stats().hedges, 40, "and what may be spent is");
    }
}

#[tokio::test(start_paused = true)]
async fn no_copy_starts_after_the_deadline() {
    let upstream = Upstream::new(|_| Reply::OkAfter(100));
    let service = hedge(Delay::fixed(millis(50))).layer(upstream.clone());
    Deadline::after(millis(50)).scope(service.oneshot(1)).await.unwrap();
    assert_eq!(upstream.millis(), [0]);
}

#[tokio::test(start_paused = true)]
async fn the_percentile_follows_what_is_measured() {
    let upstream = Upstream::new(|n| Reply::OkAfter(if n % 10 == 9 { 500 } else { 10 }));
    let layer = hedge(Delay::percentile(donjon_core::Ratio::new(0.9).unwrap()));
    let service = layer.layer(upstream);
    assert_eq!(layer.handle().stats().delay, None, "nothing is known");
    for _ in 0..96 {
        service.clone().oneshot(1).await.unwrap();
    }
    assert_eq!(layer.handle().stats().hedges, 0);
    let delay = layer.handle().stats().delay.unwrap();
    assert!((10..=12).contains(&delay.as_millis()), "{delay:?}");
    for _ in 0..20 {
        service.clone().oneshot(1).await.unwrap();
    }
    assert!(layer.handle().stats().won >= 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_dropped_counts_as_what_it_had_lasted() {
    let upstream = Upstream::new(|_| Reply::Never);
    let layer = hedge(Delay::percentile(donjon_core::Ratio::new(0.5).unwrap()));
    let service = layer.layer(upstream);
    for _ in 0..96 {
        let _ = tokio::time::timeout(millis(200), service.clone().oneshot(1)).await;
    }
    let delay = layer.handle().stats().delay.expect("all of them were counted");
    assert!((200..=203).contains(&delay.as_millis()), "{delay:?}");
}

#[tokio::test(start_paused = true)]
async fn hedges_can_be_switched_off_while_running_and_bypassed() {
    let upstream = Upstream::new(|_| Reply::OkAfter(100));
    let layer = hedge(Delay::fixed(millis(10)));
    let service = layer.layer(upstream.clone());
    layer.handle().set_max_hedges(0).unwrap();
    service.oneshot(1).await.unwrap();
    assert_eq!(upstream.millis().len(), 1);

    layer.bypass().layer(upstream.clone()).oneshot(1).await.unwrap();
    assert_eq!(upstream.millis().len(), 2);
    let fresh = layer.fresh();
    fresh.handle().set_max_hedges(1).unwrap();
    fresh.layer(upstream.clone()).oneshot(1).await.unwrap();
    assert_eq!(upstream.millis().len(), 4, "a fresh one has its settings");
    assert_eq!(layer.handle().stats().hedges, 0, "and its own figures");
}
