//! Balancers and ejection of other projects: rows of their tests, and the rules of their papers.

use std::time::Duration;

use donjon_lab::baselines::{
    balance::{LeastRequests, PeakEwma, Prequal, Probe, RoundRobin},
    ejection::SuccessRateEjection,
};
use tokio::time::Instant;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn round_robin_goes_round() {
    let mut balancer = RoundRobin::default();
    let chosen: Vec<_> = (0..5).map(|_| balancer.choose(3)).collect();
    assert_eq!(chosen, [Some(0), Some(1), Some(2), Some(0), Some(1)]);
    assert_eq!(balancer.choose(1), Some(0), "endpoints may leave");
    assert_eq!(balancer.choose(0), None);
}

#[test]
fn least_requests_chooses_the_one_with_fewer() {
    let mut balancer = LeastRequests::new(2);
    assert_eq!(balancer.choose(0, 1), 0, "equal: the first");
    assert_eq!(balancer.choose(0, 1), 1);
    assert_eq!(balancer.choose(1, 0), 1, "equal again");
    assert_eq!(balancer.choose(1, 0), 0);
    balancer.ended(1);
    balancer.ended(1);
    balancer.ended(1);
    assert_eq!(balancer.choose(0, 1), 1, "an end too many does no harm");
}

/// tower, `load/peak_ewma.rs`: begun at 100 and 200 ms, ended at 300 and 400 ms.
#[tokio::test(start_paused = true)]
async fn t10_peak_ewma_costs_what_towers_does() {
    let start = Instant::now();
    let mut endpoint = PeakEwma::new(start, millis(20), millis(1_000));
    assert_eq!(endpoint.cost(start), 20e6);
    endpoint.began();
    assert!(endpoint.cost(start + millis(100)) > 20e6);
    endpoint.began();
    endpoint.ended(start + millis(300), millis(200));
    assert_eq!(endpoint.cost(start + millis(300)), 400e6);
    endpoint.ended(start + millis(400), millis(200));
    assert_eq!(endpoint.cost(start + millis(400)), 200e6);
    assert!(endpoint.cost(start + millis(1_400)) < 100e6, "a peak is forgotten");
    assert!(endpoint.cost(start + millis(11_400)) < 100e3);
}

fn probe(endpoint: usize, in_flight: u32, latency: u64, at: Instant) -> Probe {
    Probe { endpoint, in_flight, latency: millis(latency), at }
}

/// The paper, section 4: the fastest of the cold; if there is none, that with the fewest requests in flight.
#[tokio::test(start_paused = true)]
async fn prequal_chooses_the_fastest_of_the_cold() {
    let now = Instant::now();
    let mut balancer = Prequal::new(0.5);
    assert_eq!(balancer.choose(now), None, "nothing is known");
    for (endpoint, in_flight, latency) in [(0, 9, 1), (1, 2, 30), (2, 3, 20), (3, 1, 40)] {
        balancer.probed(probe(endpoint, in_flight, latency, now));
    }
    assert_eq!(balancer.choose(now), Some(1), "0 and 2 are hot, 3 is slower");
    assert_eq!(balancer.probes(), 3, "the worst has gone: a hot one, with nine in flight");
    assert_eq!(balancer.choose(now), Some(2), "1 has one more in flight now, and no fewer than 2, which is faster");
}

#[tokio::test(start_paused = true)]
async fn prequals_pool_is_bounded_and_forgets() {
    let now = Instant::now();
    let mut balancer = Prequal::new(0.84);
    for endpoint in 0..20 {
        balancer.probed(probe(endpoint, 1, 10, now));
    }
    assert_eq!(balancer.probes(), 16);
    assert_eq!(balancer.choose(now), Some(4), "the four oldest have gone");
    assert_eq!(balancer.choose(now + millis(1_000)), None, "a probe is worth something for a second");
}

/// One of ten at half is below the threshold, comes back after 30 s, and is gone for longer the second time.
#[tokio::test(start_paused = true)]
async fn t12_an_endpoint_at_half_is_ejected_for_longer_each_time() {
    let start = Instant::now();
    let mut ejection = SuccessRateEjection::new(10, 10);
    let interval = |ejection: &mut SuccessRateEjection, second: u64| {
        for call in 0..100 {
            for endpoint in (0..10).filter(|it| !(*it == 0 && ejection.is_ejected(0))).collect::<Vec<_>>() {
                ejection.record(endpoint, endpoint != 0 || call % 2 == 0);
            }
        }
        ejection.interval_ends(start + Duration::from_secs(second));
        ejection.is_ejected(0)
    };
    let ejected: Vec<_> = (1..=12).filter(|ten| interval(&mut ejection, ten * 10)).collect();
    assert_eq!(ejected, [1, 2, 3, 5, 6, 7, 8, 9, 10, 12], "30 s, an interval of trial, 60 s, another one");
    assert!((1..10).all(|endpoint| !ejection.is_ejected(endpoint)));
}

/// Where a quarter is dead the threshold is below nought, and at most a tenth may go in any case.
#[tokio::test(start_paused = true)]
async fn t12_a_quarter_dead_is_not_seen_and_a_tenth_is_the_most() {
    for (dead, most, ejected) in [(1, 10, 1), (2, 10, 2), (4, 10, 2), (5, 100, 0)] {
        let mut ejection = SuccessRateEjection::new(20, most);
        for endpoint in 0..20 {
            for _ in 0..100 {
                ejection.record(endpoint, endpoint >= dead);
            }
        }
        ejection.interval_ends(Instant::now());
        let gone = (0..20).filter(|endpoint| ejection.is_ejected(*endpoint)).count();
        assert_eq!(gone, ejected, "{dead} of 20 dead, at most {most} %");
    }
}

#[tokio::test(start_paused = true)]
async fn t12_four_endpoints_or_too_few_calls_are_not_compared() {
    for (endpoints, calls) in [(4, 100), (5, 99)] {
        let mut ejection = SuccessRateEjection::new(endpoints, 100);
        for endpoint in 0..endpoints {
            for _ in 0..calls {
                ejection.record(endpoint, endpoint > 0);
            }
        }
        ejection.interval_ends(Instant::now());
        assert!((0..endpoints).all(|endpoint| !ejection.is_ejected(endpoint)));
    }
}
