//! What a hit touches.

use donjon_test::{Readiness, Reply};
use tokio::time::advance;
use tokio_test::assert_ready_ok;
use tower::ServiceExt;

use crate::support::{by_number, call, prompt, secs, settle};

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

/// Nor does one that is stale or due, but for the one that refreshes it.
#[tokio::test(start_paused = true)]
async fn while_a_refresh_runs_hits_touch_nothing_of_the_inner_service() {
    let stale = by_number().ttl(secs(10)).stale_while_revalidate(secs(30));
    let due = by_number().ttl(secs(10)).refresh_ahead();
    for (layer, wait) in [(stale, 10), (due, 8)] {
        let (service, probe) = prompt(&layer);
        probe.reply_next([Reply::answer().after(secs(2))]);
        service.clone().oneshot(7).await.unwrap();
        advance(secs(wait)).await;
        probe.reply(Reply::answer().held());
        let mut same = service.clone();
        for first in [true, false, false] {
            let before = probe.stats();
            assert_ready_ok!(tokio_test::task::spawn(tower::Service::call(&mut same, 7)).poll());
            settle().await;
            let after = probe.stats();
            assert_eq!(after.calls - before.calls, usize::from(first));
            assert_eq!(after.clones - before.clones, usize::from(first), "one clone for the refresh");
        }
    }
}
