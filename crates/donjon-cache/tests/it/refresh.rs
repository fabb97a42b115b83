//! Refreshes in the background: whose they are, and when they end.

use std::sync::{Arc, Mutex};

use donjon_budget::Budget;
use donjon_cache::CacheLayer;
use donjon_core::{CallError, Criticality, Deadline, Fresh, Scope};
use donjon_test::Reply;
use tokio::{runtime::Handle, time::advance};
use tokio_test::assert_ready_ok;
use tower::{Layer, Service, service_fn};

use crate::support::{NumberLayer, by_number, call, prompt, secs, settle};

fn stale() -> NumberLayer {
    by_number().ttl(secs(10)).stale_while_revalidate(secs(3600))
}

#[tokio::test(start_paused = true)]
async fn refreshes_end_with_the_layer_its_services_and_their_calls() {
    let layer = stale();
    let (service, probe) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    advance(secs(10)).await;
    probe.reply(Reply::never());
    assert_ready_ok!(call(&service, 7).poll());
    settle().await;
    let handle = layer.handle();
    assert_eq!((probe.stats().in_flight, handle.stats().refreshing), (1, 1));
    drop(layer);
    settle().await;
    assert_eq!(probe.stats().in_flight, 1, "a service is left");
    drop(service);
    settle().await;
    assert_eq!((probe.stats().in_flight, probe.stats().instances), (0, 0));
    assert_eq!((handle.stats().refreshing, handle.stats().failed_refreshes), (0, 1));
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_has_nobodys_deadline_and_little_importance() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let layer = CacheLayer::new(|n: &u64| Some(*n)).ttl(secs(10)).stale_while_revalidate(secs(60));
    let mut service = layer.layer(service_fn(move |n: u64| {
        notes.lock().unwrap().push((Deadline::current().remaining(), Scope::current().criticality()));
        async move { Ok::<_, CallError>(n) }
    }));
    for _ in 0..2 {
        let scope = Scope::root().with_deadline(Deadline::after(secs(1)));
        scope.wrap(service.call(7)).await.unwrap();
        settle().await;
        advance(secs(10)).await;
    }
    let expected = [(Some(secs(1)), Criticality::Critical), (None, Criticality::SheddablePlus)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_miss_joins_the_refresh_that_runs() {
    let layer = by_number().ttl(secs(10)).stale_while_revalidate(secs(10));
    let (service, probe) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    advance(secs(19)).await;
    probe.reply(Reply::answer().held());
    assert_ready_ok!(call(&service, 7).poll());
    settle().await;
    advance(secs(1)).await;
    let mut calls = crate::support::pending(&service, 7, 3);
    assert_eq!(probe.stats().calls, 2);
    probe.release_all();
    settle().await;
    for call in &mut calls {
        assert_ready_ok!(call.poll());
    }
}

#[tokio::test(start_paused = true)]
async fn refreshes_are_bounded() {
    let layer = stale().max_refreshes(2);
    let (service, probe) = prompt(&layer);
    for n in 0..5 {
        assert_ready_ok!(call(&service, n).poll());
    }
    advance(secs(10)).await;
    probe.reply(Reply::answer().held());
    for n in 0..5 {
        assert_ready_ok!(call(&service, n).poll());
    }
    settle().await;
    let stats = layer.handle().stats();
    assert_eq!((stats.refreshing, stats.skipped_refreshes, stats.stale), (2, 3, 5));
    layer.handle().set_max_refreshes(0).unwrap();
    probe.release_all();
    settle().await;
    assert_ready_ok!(call(&service, 4).poll());
    settle().await;
    assert_eq!((probe.stats().calls, layer.handle().stats().refreshing), (7, 0));
}

#[tokio::test(start_paused = true)]
async fn refreshes_are_paid_from_the_share_of_a_budget() {
    let budget = Budget::new();
    let layer = stale().budget(&budget);
    let (service, probe) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    advance(secs(10)).await;
    // 2 % of the calls, and it starts empty.
    for n in 2..=49 {
        assert_ready_ok!(call(&service, 7).poll());
        assert_eq!(layer.handle().stats().skipped_refreshes, n - 1);
    }
    assert_ready_ok!(call(&service, 7).poll());
    settle().await;
    assert_eq!((probe.stats().calls, layer.handle().stats().refreshes, budget.share().stats().taken), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_refresh_the_key_is_left_alone_for_a_while() {
    let layer = stale().refresh_pause(secs(5));
    let (service, probe) = prompt(&layer);
    for n in [7, 8] {
        assert_ready_ok!(call(&service, n).poll());
    }
    advance(secs(10)).await;
    probe.reply(Reply::fail());
    // Second by second; each hit is served, and few of them call.
    for (second, calls) in [3, 3, 3, 3, 3, 4, 4].into_iter().enumerate() {
        for _ in 0..10 {
            assert_ready_ok!(call(&service, 7).poll());
            settle().await;
        }
        assert_eq!(probe.stats().calls, calls, "after {second} s");
        advance(secs(1)).await;
    }
    let stats = layer.handle().stats();
    assert_eq!((stats.refreshes, stats.failed_refreshes, stats.skipped_refreshes), (2, 2, 68));
    // Other keys have nothing to do with it, and it ends with a success.
    probe.reply(Reply::answer());
    assert_ready_ok!(call(&service, 8).poll());
    settle().await;
    assert_eq!(probe.stats().calls, 5);
    advance(secs(3)).await;
    assert_ready_ok!(call(&service, 7).poll());
    settle().await;
    assert_eq!((probe.stats().calls, layer.handle().stats().stored), (6, 4));
}

#[tokio::test(start_paused = true)]
async fn without_a_pause_the_next_call_refreshes_again() {
    let layer = stale().refresh_pause(secs(0));
    let (service, probe) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    advance(secs(10)).await;
    probe.reply(Reply::fail());
    for n in 1..=3 {
        assert_ready_ok!(call(&service, 7).poll());
        settle().await;
        assert_eq!(layer.handle().stats().failed_refreshes, n);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_of_many_keys_are_remembered_up_to_a_bound() {
    let layer = stale().refresh_pause(secs(5));
    let (service, probe) = prompt(&layer);
    for n in 0..1_100 {
        assert_ready_ok!(call(&service, n).poll());
    }
    advance(secs(10)).await;
    probe.reply(Reply::fail());
    let round = async || {
        let before = probe.stats().calls;
        for n in 0..1_100 {
            assert_ready_ok!(call(&service, n).poll());
            settle().await;
        }
        probe.stats().calls - before
    };
    assert_eq!(round().await, 1_100);
    assert_eq!(round().await, 1_100 - 1_024, "of the others nothing is known");
    advance(secs(5)).await;
    assert_eq!(round().await, 1_100, "and it is forgotten in time");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_takes_too_long_is_given_up_and_frees_its_key() {
    let layer = stale().refresh_timeout(secs(3)).refresh_pause(secs(0));
    let (service, probe) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    advance(secs(10)).await;
    probe.reply(Reply::never());
    assert_ready_ok!(call(&service, 7).poll());
    settle().await;
    advance(secs(2)).await;
    settle().await;
    assert_eq!((layer.handle().stats().refreshing, probe.stats().in_flight), (1, 1));
    advance(secs(1)).await;
    settle().await;
    let stats = layer.handle().stats();
    assert_eq!((stats.refreshing, stats.failed_refreshes, probe.stats().in_flight), (0, 1, 0));
    probe.reply(Reply::answer());
    assert_ready_ok!(call(&service, 7).poll());
    settle().await;
    assert_eq!(layer.handle().stats().stored, 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_has_joined_a_refresh_that_is_given_up_goes_on_with_its_call() {
    let layer = by_number().ttl(secs(10)).stale_while_revalidate(secs(10)).refresh_timeout(secs(3));
    let (service, probe) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    advance(secs(18)).await;
    probe.reply(Reply::answer().held());
    assert_ready_ok!(call(&service, 7).poll());
    settle().await;
    advance(secs(2)).await;
    let mut calls = crate::support::pending(&service, 7, 1);
    advance(secs(1)).await;
    settle().await;
    assert_eq!(layer.handle().stats().refreshing, 0);
    probe.release_all();
    settle().await;
    assert_ready_ok!(calls[0].poll());
    assert_eq!(probe.stats().calls, 2, "it was not made again");
}

#[tokio::test(start_paused = true)]
async fn ahead_of_time_whoever_comes_first_refreshes_and_nobody_waits() {
    let layer = by_number().ttl(secs(60)).refresh_ahead();
    let (service, probe) = prompt(&layer);
    probe.reply(Reply::answer().after(secs(4)));
    let task = tokio::spawn(service.clone().call(7));
    task.await.unwrap().unwrap();
    advance(secs(54)).await;
    assert_ready_ok!(call(&service, 7).poll());
    settle().await;
    assert_eq!(probe.stats().calls, 1, "six seconds are left: 1.5 times the cost");
    advance(secs(1)).await;
    for _ in 0..100 {
        assert_ready_ok!(call(&service, 7).poll());
    }
    settle().await;
    let stats = layer.handle().stats();
    assert_eq!((probe.stats().calls, stats.hits, stats.stale, stats.refreshes), (2, 101, 0, 1));
    tokio::time::sleep(secs(6)).await;
    assert_ready_ok!(call(&service, 7).poll());
    assert_eq!(layer.handle().stats().misses, 1);
}

#[tokio::test(start_paused = true)]
async fn a_removal_overtakes_a_refresh() {
    let layer = stale();
    let (service, probe) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    advance(secs(10)).await;
    probe.reply(Reply::answer().held());
    assert_ready_ok!(call(&service, 7).poll());
    settle().await;
    layer.handle().invalidate(&7);
    probe.release_all();
    settle().await;
    assert_eq!((layer.handle().stats().stored, layer.handle().stats().store_refusals), (1, 1));
}

#[test]
fn without_a_runtime_nothing_is_refreshed_and_nothing_panics() {
    let layer = by_number().ttl(secs(0)).stale_while_revalidate(secs(3600));
    let (service, _) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    assert_ready_ok!(call(&service, 7).poll());
    let stats = layer.handle().stats();
    assert_eq!((stats.stale, stats.skipped_refreshes), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_fresh_layer_has_refreshes_of_its_own() {
    let layer = stale();
    let fresh = layer.fresh();
    let (service, probe) = prompt(&fresh);
    assert_ready_ok!(call(&service, 7).poll());
    advance(secs(10)).await;
    probe.reply(Reply::never());
    assert_ready_ok!(call(&service, 7).poll());
    settle().await;
    drop(layer);
    settle().await;
    assert_eq!((fresh.handle().stats().refreshing, probe.stats().in_flight), (1, 1));
}
