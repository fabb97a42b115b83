use std::time::Duration;

use donjon_test::Readiness;
use tokio::time::advance;
use tokio_test::assert_ready_ok;

use crate::support::{by_number, call, held, pending, prompt};

#[tokio::test(start_paused = true)]
async fn a_hit_touches_nothing_of_the_inner_service() {
    let layer = by_number();
    let (service, probe) = prompt(&layer);
    let answer = assert_ready_ok!(call(&service, 7).poll());
    // Saturated, and then broken: a hit neither waits nor fails.
    let before = probe.stats();
    for readiness in [Readiness::Pending, Readiness::Fail] {
        probe.set_readiness(readiness);
        assert_eq!(assert_ready_ok!(call(&service, 7).poll()), answer);
    }
    let after = probe.stats();
    assert_eq!((after.calls, after.ready_polls), (before.calls, before.ready_polls));
    assert_eq!((layer.handle().stats().hits, layer.handle().stats().misses), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_value_ends_with_its_ttl() {
    let layer = by_number().ttl(Duration::from_secs(5));
    let (service, probe) = prompt(&layer);
    for (wait, calls) in [(0, 1), (4, 1), (1, 2), (4, 2)] {
        advance(Duration::from_secs(wait)).await;
        assert_ready_ok!(call(&service, 7).poll());
        assert_eq!(probe.stats().calls, calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_misses_on_one_key_are_one_inner_call() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    let mut calls = pending(&service, 7, 100);
    assert_eq!(probe.stats().calls, 1);
    probe.release_all();
    let answer = assert_ready_ok!(calls[0].poll());
    for call in &mut calls[1..] {
        assert!(call.is_woken());
        assert_eq!(assert_ready_ok!(call.poll()), answer);
    }
    assert_eq!(assert_ready_ok!(call(&service, 7).poll()), answer);
    let stats = layer.handle().stats();
    assert_eq!((probe.stats().calls, stats.misses, stats.coalesced, stats.hits), (1, 100, 99, 1));
}
