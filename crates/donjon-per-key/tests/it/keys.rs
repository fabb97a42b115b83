//! Keys come, and leave: a bounded number of them, the longest unused first, and the idle ones in time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::Rejection;
use donjon_per_key::PerKeyLayer;
use donjon_rate_limit::{Rate, RateLimitLayer};
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Counted, call, held, keys, one_each, over, refusal, running};

#[tokio::test(start_paused = true)]
async fn a_slow_key_delays_no_other() {
    let layer = one_each();
    let (service, handle) = held(&layer);
    let mut slow = running(&service, 1);
    let (kind, _) = refusal(call(&service, 101).await);
    assert_eq!(kind, "concurrency-limit", "the same key");
    handle.reply(donjon_test::Reply::answer());
    assert_ready_ok!(call(&service, 2).poll());
    assert_pending!(slow.poll());
}

#[tokio::test(start_paused = true)]
async fn the_key_that_was_used_longest_ago_makes_room() {
    let layer = one_each().max_keys(3);
    let (service, _) = over(&layer);
    for n in [1, 2, 3, 1, 4] {
        call(&service, n).await.unwrap();
    }
    assert_eq!(keys(&layer), [1, 3, 4]);
    call(&service, 3).await.unwrap();
    call(&service, 5).await.unwrap();
    assert_eq!(keys(&layer), [3, 4, 5]);
    let stats = layer.handle().stats();
    assert_eq!((stats.keys, stats.max_keys, stats.created, stats.evicted, stats.expired), (3, 3, 5, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_has_made_room_starts_anew() {
    let layer = one_each().max_keys(1);
    let (service, _) = over(&layer);
    let admitted = |key| layer.handle().with(&key, |limit| limit.handle().stats().admitted);
    call(&service, 1).await.unwrap();
    call(&service, 1).await.unwrap();
    assert_eq!(admitted(1), Some(2));
    call(&service, 2).await.unwrap();
    assert_eq!((admitted(1), admitted(2)), (None, Some(1)));
    call(&service, 1).await.unwrap();
    assert_eq!(admitted(1), Some(1));
}

/// Seen elsewhere: keys never evicted.
#[tokio::test(start_paused = true)]
async fn a_flood_of_keys_takes_bounded_memory() {
    // One shard, and many.
    for max in [50, 1000] {
        let alive = Arc::new(AtomicUsize::new(0));
        let layer = PerKeyLayer::new(|n: &u64| Some(*n), Counted::new(&alive)).max_keys(max);
        let (service, _) = over(&layer);
        let idle = alive.load(Ordering::SeqCst);
        for n in 0..20_000_u64 {
            service.clone().oneshot(n).await.unwrap();
            assert!(alive.load(Ordering::SeqCst) <= idle + max, "{n}");
        }
        let stats = layer.handle().stats();
        assert_eq!((stats.keys, stats.created, stats.when_full), (max, 20_000, 0));
        assert_eq!(stats.evicted, 20_000 - max as u64);
        // What is left is what came last, about: each shard keeps its own order.
        let late = layer.handle().keys().into_iter().filter(|&n| n >= 20_000 - 2 * max as u64).count();
        assert!(late > max * 9 / 10, "{late} of {max}");
        drop((layer, service));
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_key_leaves_when_another_one_comes() {
    let layer = one_each().idle(Duration::from_secs(60));
    let (service, _) = over(&layer);
    for n in 0..50 {
        call(&service, n).await.unwrap();
    }
    advance(Duration::from_secs(60)).await;
    for n in 50..100 {
        call(&service, n).await.unwrap();
    }
    // The newcomers look in their own shards.
    assert_eq!(keys(&layer), (50..100).collect::<Vec<_>>());
    assert_eq!((layer.handle().stats().expired, layer.handle().stats().evicted), (50, 0));
}

/// Twenty an hour: whoever comes back after a quarter of an hour has the tokens of that quarter, and not a new burst.
#[tokio::test(start_paused = true)]
async fn a_key_stays_for_as_long_as_its_layer_remembers() {
    let limit = RateLimitLayer::new(Rate::per_hour(20));
    let layer = PerKeyLayer::new(|n: &u64| Some(*n), (limit, ConcurrencyLimitLayer::new(1)));
    let service = layer.layer(service_fn(async |n: u64| Ok::<_, Rejection>(n)));
    let passed = async |n| {
        let mut passed = 0;
        for _ in 0..30 {
            passed += u32::from(service.clone().oneshot(n).await.is_ok());
        }
        assert_eq!(layer.handle().stats().keys, 1, "and it is noted that it was used now");
        passed
    };
    assert_eq!(passed(1).await, 20);
    advance(Duration::from_secs(15 * 60)).await;
    assert_eq!(layer.handle().stats().keys, 1, "it is no longer idle than it remembers");
    assert_eq!(passed(1).await, 5);
    advance(Duration::from_secs(60 * 60)).await;
    assert_eq!(layer.handle().stats().keys, 0, "all of its tokens are there again");
    // Whoever says how long means it.
    assert_eq!(passed(1).await, 20);
    let layer = layer.clone().idle(Duration::from_secs(60));
    advance(Duration::from_secs(61)).await;
    assert_eq!(layer.handle().stats().keys, 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_used_stays_for_the_whole_time_after_it() {
    let second = Duration::from_secs(1);
    let layer = one_each().max_keys(10).idle(60 * second);
    let (service, _) = over(&layer);
    call(&service, 1).await.unwrap();
    advance(59 * second).await;
    call(&service, 1).await.unwrap();
    // Somebody looks, so that it is known when.
    call(&service, 2).await.unwrap();
    advance(59 * second).await;
    assert_eq!(keys(&layer), [1, 2]);
    advance(second).await;
    assert_eq!(keys(&layer), []);
}

#[tokio::test(start_paused = true)]
async fn idle_keys_leave_though_no_new_one_comes() {
    for max in [64, 10_000] {
        let layer = one_each().max_keys(max).idle(Duration::from_secs(60));
        let (service, _) = over(&layer);
        for n in 0..64 {
            call(&service, n).await.unwrap();
        }
        advance(Duration::from_secs(60)).await;
        // One key alone goes on, long enough for every shard to have its turn.
        for _ in 0..65 * 64 {
            call(&service, 1).await.unwrap();
        }
        let mut left = 0;
        layer.handle().each(|_, _| left += 1);
        assert_eq!(left, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_time_of_nought_keeps_a_key_while_it_is_used_and_one_of_for_ever_keeps_it() {
    let layer = one_each().idle(Duration::ZERO);
    let (service, _) = held(&layer);
    let running = running(&service, 1);
    advance(Duration::from_millis(1)).await;
    assert_eq!(keys(&layer), [1]);
    drop(running);
    advance(Duration::from_millis(1)).await;
    assert_eq!(keys(&layer), []);

    let layer = one_each().idle(Duration::MAX);
    let (service, _) = over(&layer);
    call(&service, 1).await.unwrap();
    advance(Duration::from_secs(1 << 32)).await;
    call(&service, 2).await.unwrap();
    assert_eq!(keys(&layer), [1, 2]);
}

#[test]
fn it_says_what_it_is() {
    let layer = one_each().max_keys(7);
    let (service, _) = over(&layer);
    let text = format!("{layer:?} {service:?} {:?}", layer.handle());
    assert!(text.contains("ConcurrencyLimitLayer") && text.contains("max_keys: 7"), "{text}");
}
