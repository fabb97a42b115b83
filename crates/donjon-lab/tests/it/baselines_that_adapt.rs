//! Limits and rates of other projects that adapt: rows of those projects' own tests, and where they lead.

use std::time::Duration;

use donjon_lab::baselines::{
    client_rate::ClientRate,
    concurrency::{Aimd, Gradient2, Vegas},
    gradient::EnvoyGradient,
};
use tokio::time::Instant;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The test vectors of the AWS SDKs' adaptive mode: throttled?, at, measured, limit.
#[test]
fn t3_a_throttled_client_measures_and_limits_itself_as_the_aws_sdks_do() {
    let rows = [
        (false, 0.2, 0.0, 0.5),
        (false, 0.4, 0.0, 0.5),
        (false, 0.6, 4.8, 0.5),
        (false, 0.8, 4.8, 0.5),
        (false, 1.0, 4.16, 0.5),
        (false, 1.2, 4.16, 0.6912),
        (false, 1.4, 4.16, 1.0976),
        (false, 1.6, 5.632, 1.6384),
        (false, 1.8, 5.632, 2.3328),
        (true, 2.0, 4.3264, 3.02848),
        (false, 2.2, 4.3264, 3.486_639),
        (false, 2.4, 4.3264, 3.821_874),
        (false, 2.6, 5.66528, 4.053_386),
        (false, 2.8, 5.66528, 4.200_373),
        (false, 3.0, 4.333_056, 4.282_037),
        (true, 3.2, 4.333_056, 2.997_426),
        (false, 3.4, 4.333_056, 3.452_226),
    ];
    let mut client = ClientRate::new(0.0);
    for (throttled, at, measured, rate) in rows {
        client.ended(at, throttled);
        assert!((client.measured() - measured).abs() < 1e-6, "{at}: measured {}, not {measured}", client.measured());
        assert!((client.rate() - rate).abs() < 1e-6, "{at}: {}, not {rate}", client.rate());
        assert_eq!(client.limit().is_some(), at >= 2.0, "{at}: there is no limit before the first throttling");
    }
}

/// concurrency-limits, `AIMDLimitTest`.
#[test]
fn t6_aimd_adds_one_and_takes_a_tenth() {
    let mut limit = Aimd::new(20);
    limit.sample(millis(10), 10, false);
    assert_eq!(limit.limit(), 21);

    let mut limit = Aimd::new(30);
    limit.sample(Duration::ZERO, 0, true);
    assert_eq!(limit.limit(), 27);

    let mut limit = Aimd::new(30);
    limit.sample(millis(5_001), 30, false);
    assert_eq!(limit.limit(), 27, "a call that takes too long counts as dropped");
    limit.sample(millis(10), 13, false);
    assert_eq!(limit.limit(), 27, "what is not used does not grow");
}

/// concurrency-limits, `VegasLimitTest`: from 10, alpha 3 and beta 6, after a first call of 10 ms.
#[test]
fn t6_vegas_keeps_its_queue_between_alpha_and_beta() {
    for (rtt, in_flight, expected) in [(10, 11, 16), (50, 11, 9), (14, 14, 10)] {
        let mut limit = Vegas::new(10, 20).queue(3.0, 6.0);
        limit.sample(millis(10), 10, false);
        assert_eq!(limit.limit(), 10, "the first call says only how short a call is");
        limit.sample(millis(rtt), in_flight, false);
        assert_eq!(limit.limit(), expected, "{rtt} ms, {in_flight} in flight");
    }
}

/// The same tests: from 100, halving, with a smoothing of a half.
#[test]
fn t6_vegas_goes_down_smoothly() {
    let mut limit = Vegas::new(100, 200).smoothing(0.5).halving();
    let mut limits = Vec::new();
    for rtt in [10, 20, 20] {
        limit.sample(millis(rtt), 100, false);
        limits.push(limit.limit());
    }
    assert_eq!(limits, [100, 75, 56]);
}

/// Its long average follows a load that stays, so that it takes the load for what is normal and grows to its most; calls
/// far longer than that average make it fall, and a limit that is not used stays.
#[test]
fn gradient2_falls_when_calls_get_longer_than_on_its_average() {
    let mut limit = Gradient2::new(20, 200);
    for _ in 0..5_000 {
        let in_flight = limit.limit();
        limit.sample(millis(u64::from(in_flight)), in_flight);
    }
    assert_eq!(limit.limit(), 200);
    let mut limits = Vec::new();
    for _ in 0..3 {
        limit.sample(millis(2_000), limit.limit());
        limits.push(limit.limit());
    }
    // At most halved, four more for the queue, and a fifth of the step.
    assert_eq!(limits, [180, 163, 147]);
    limit.sample(millis(2_000), 73);
    assert_eq!(limit.limit(), 147, "less than half of it is used");
}

/// Envoy, `gradient_controller_test.cc`: five calls of 1 to 5 ms; a call from before the epoch is not counted.
#[tokio::test(start_paused = true)]
async fn t7_envoys_shortest_round_trip_is_a_median_since_its_epoch() {
    let mut limit = EnvoyGradient::new(Instant::now(), 0.25, 5);
    assert_eq!(limit.limit(), 3, "few are let in while the shortest round trip is measured");
    for rtt in 1..=5 {
        assert_eq!(limit.shortest(), None);
        limit.sample(Instant::now(), millis(rtt));
    }
    assert_eq!(limit.shortest(), Some(millis(3)));

    let before = Instant::now();
    tokio::time::advance(millis(100)).await;
    limit.measure_again(Instant::now());
    for _ in 0..5 {
        limit.sample(before, millis(500));
    }
    assert_eq!(limit.shortest(), Some(millis(3)), "calls from before the epoch say nothing of now");
    for _ in 0..5 {
        limit.sample(Instant::now(), millis(4));
    }
    assert_eq!(limit.shortest(), Some(millis(4)));
}

/// The same tests: with a buffer of 50 % and a shortest round trip of 5 ms, windows of 6 ms make the limit grow, and far
/// longer ones make it fall as far as the room for a burst lets it.
#[tokio::test(start_paused = true)]
async fn t7_envoys_limit_grows_while_calls_are_within_the_buffer() {
    let mut limit = EnvoyGradient::new(Instant::now(), 0.5, 1);
    limit.sample(Instant::now(), millis(5));
    let mut window = async |rtt: u64| {
        tokio::time::advance(millis(100)).await;
        for _ in 0..10 {
            limit.sample(Instant::now(), millis(rtt));
        }
        limit.window_ends();
        limit.limit()
    };
    let mut last = 3;
    for _ in 0..5 {
        let next = window(6).await;
        assert!(next > last, "{next} after {last}");
        last = next;
    }
    for _ in 0..20 {
        last = window(100).await;
    }
    assert_eq!(last, 4, "half of four and its root are four again");
}
