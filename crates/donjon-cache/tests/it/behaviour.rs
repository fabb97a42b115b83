//! What a hit touches.

use donjon_test::Readiness;
use tokio_test::assert_ready_ok;

use crate::support::{by_number, call, prompt};

#[tokio::test(start_paused = true)]
async fn a_hit_touches_nothing_of_the_inner_service() {
    let layer = by_number();
    let (service, probe) = prompt(&layer);
    let answer = assert_ready_ok!(call(&service, 7).poll());
    // Saturated, and then broken: a hit neither waits nor fails.
    let mut same = service.clone();
    let before = probe.stats();
    for readiness in [Readiness::Pending, Readiness::Fail] {
        probe.set_readiness(readiness);
        let mut call = tokio_test::task::spawn(tower::Service::call(&mut same, 7));
        assert_eq!(assert_ready_ok!(call.poll()), answer);
    }
    let after = probe.stats();
    assert_eq!((after.calls, after.ready_polls, after.clones), (before.calls, before.ready_polls, before.clones));
    assert_eq!((layer.handle().stats().hits, layer.handle().stats().misses), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_served_a_hit_keeps_nothing_of_the_inner_service() {
    let (service, probe) = prompt(&by_number());
    probe.set_capacity(Some(1));
    assert_ready_ok!(call(&service, 7).poll());
    let clones: Vec<_> = (0..10)
        .map(|_| {
            let mut clone = service.clone();
            assert_ready_ok!(tokio_test::task::spawn(tower::Service::call(&mut clone, 7)).poll());
            clone
        })
        .collect();
    assert_eq!(probe.stats().reserved, 0);
    assert_ready_ok!(call(&service, 8).poll());
    drop(clones);
}
