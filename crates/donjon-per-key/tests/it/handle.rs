//! The operator's end.

use std::time::Duration;

use donjon_per_key::PerKeyLayer;
use donjon_rate_limit::{Rate, RateLimitLayer};
use tokio::time::advance;
use tower::ServiceExt;

use crate::support::{call, held, keys, one_each, over, refusal, running};

#[tokio::test(start_paused = true)]
async fn the_state_of_one_key_can_be_seen_and_changed() {
    let layer = one_each();
    let (service, _) = held(&layer);
    let handle = layer.handle();
    let _first = [running(&service, 1), running(&service, 2)];
    assert_eq!(handle.with(&1, |limit| limit.handle().stats().in_flight), Some(1));
    assert_eq!(handle.with(&1, |limit| limit.handle().set_max(2)), Some(Ok(())));
    let _second = running(&service, 1);
    assert_eq!(refusal(call(&service, 2).await).0, "concurrency-limit", "the other key is as it was");
    assert_eq!(handle.with(&3, |_| ()), None);
    assert_eq!(handle.stats().created, 2, "looking makes no key");
}

#[tokio::test(start_paused = true)]
async fn all_keys_can_be_seen_and_changed() {
    let layer = one_each();
    let (service, _) = held(&layer);
    let _first: Vec<_> = (0..20).map(|n| running(&service, n)).collect();
    let mut seen = Vec::new();
    layer.handle().each(|key, limit| {
        seen.push(*key);
        limit.handle().set_max(2).unwrap();
        // No lock is held.
        assert!(layer.handle().with(key, |_| ()).is_some());
    });
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    let _second: Vec<_> = (0..20).map(|n| running(&service, n)).collect();
}

#[tokio::test(start_paused = true)]
async fn what_is_changed_of_the_template_holds_for_the_keys_to_come() {
    let layer = PerKeyLayer::new(|n: &u64| Some(*n), RateLimitLayer::new(Rate::per_second(2)));
    let (service, _) = over(&layer);
    let passed = async |key: u64| {
        let mut passed = 0;
        for _ in 0..20 {
            passed += u64::from(service.clone().oneshot(key).await.is_ok());
        }
        passed
    };
    assert_eq!(passed(1).await, 2);
    let handle = layer.handle();
    handle.with_template(|limit| limit.handle().set_rate(Rate::per_second(5))).unwrap();
    assert_eq!(passed(2).await, 5);
    advance(Duration::from_secs(1)).await;
    assert_eq!((passed(1).await, passed(2).await), (2, 5), "a key that is there keeps its own");
    assert!(handle.forget(&1));
    assert_eq!(passed(1).await, 5);
    assert_eq!(handle.with_template(|limit| limit.handle().stats().admitted), 0);
    assert_eq!(handle.with_keyless(|limit| limit.handle().rate()), Rate::per_second(2));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_in_use_while_it_is_looked_at() {
    let layer = one_each().max_keys(1);
    let (service, _) = over(&layer);
    call(&service, 1).await.unwrap();
    let mut other = call(&service, 2);
    let refused = layer.handle().with(&1, |_| tokio_test::assert_ready!(other.poll()));
    assert_eq!(refusal(refused.unwrap()).0, "per-key");
}

#[tokio::test(start_paused = true)]
async fn a_key_can_be_forgotten_unless_it_is_in_use() {
    let layer = one_each();
    let (service, probe) = held(&layer);
    let running = running(&service, 1);
    let handle = layer.handle();
    assert!(!handle.forget(&1) && !handle.forget(&2));
    drop(running);
    assert!(handle.forget(&1));
    assert_eq!((handle.stats().keys, handle.stats().evicted), (0, 1));
    probe.reply(donjon_test::Reply::answer());
    call(&service, 1).await.unwrap();
    assert_eq!(handle.with(&1, |limit| limit.handle().stats().admitted), Some(1), "a new state");
}

#[tokio::test(start_paused = true)]
async fn keys_are_found_by_what_they_borrow() {
    let name = |n: &u64| Some(format!("user-{n}"));
    let layer = donjon_per_key::PerKeyLayer::new(name, donjon_concurrency_limit::ConcurrencyLimitLayer::new(1));
    let (service, _) = over(&layer);
    tower::ServiceExt::oneshot(service, 7).await.unwrap();
    assert_eq!(layer.handle().with("user-7", |_| ()), Some(()));
    assert!(layer.handle().forget("user-7"));
}

#[tokio::test(start_paused = true)]
async fn the_bounds_turn_while_running() {
    let layer = one_each();
    let (service, probe) = held(&layer);
    let handle = layer.handle();
    let busy = [running(&service, 1), running(&service, 2)];
    probe.reply(donjon_test::Reply::answer());
    for n in 3..30 {
        call(&service, n).await.unwrap();
    }
    handle.set_max_keys(1).unwrap();
    assert_eq!(keys(&layer), [1, 2], "whoever is in use stays, beyond the bound");
    assert_eq!(refusal(call(&service, 3).await).0, "per-key");
    drop(busy);
    call(&service, 3).await.unwrap();
    assert_eq!(keys(&layer), [3]);
    handle.set_max_keys(2).unwrap();
    call(&service, 4).await.unwrap();
    assert_eq!(keys(&layer), [3, 4]);

    advance(Duration::from_secs(10)).await;
    handle.set_idle(Duration::from_secs(10)).unwrap();
    assert_eq!(handle.stats().keys, 0);

    assert!(handle.set_max_keys(usize::MAX).is_err());
    assert_eq!(handle.stats().max_keys, 2);
}

/// So many keys in use that no shard comes to the others at one look.
#[tokio::test(start_paused = true)]
async fn a_bound_that_was_lowered_holds_behind_any_number_of_keys_in_use() {
    let layer = crate::support::one_each_of_all();
    let (service, probe) = held(&layer);
    let busy: Vec<_> = (0..3000).map(|n| running(&service, n)).collect();
    probe.reply(donjon_test::Reply::answer());
    for n in 3000..6000 {
        call(&service, n).await.unwrap();
    }
    let handle = layer.handle();
    handle.set_max_keys(4000).unwrap();
    let stats = handle.stats();
    assert_eq!((stats.keys, stats.busy, stats.evicted), (4000, 3000, 2000));
    handle.set_max_keys(100).unwrap();
    assert_eq!((handle.stats().keys, handle.stats().busy), (3000, 3000));
    drop(busy);
    assert_eq!(handle.stats().keys, 100);
}

#[tokio::test(start_paused = true)]
async fn idle_keys_leave_behind_any_number_of_keys_in_use() {
    let layer = crate::support::one_each_of_all();
    let (service, probe) = held(&layer);
    let _busy: Vec<_> = (0..3000).map(|n| running(&service, n)).collect();
    probe.reply(donjon_test::Reply::answer());
    for n in 3000..6000 {
        call(&service, n).await.unwrap();
    }
    advance(Duration::from_secs(10)).await;
    layer.handle().set_idle(Duration::from_secs(10)).unwrap();
    let stats = layer.handle().stats();
    assert_eq!((stats.keys, stats.busy, stats.expired), (3000, 3000, 3000));
}

#[tokio::test(start_paused = true)]
async fn a_bound_that_was_lowered_holds_over_all_shards() {
    let layer = one_each();
    let (service, _) = over(&layer);
    for n in 0..100 {
        call(&service, n).await.unwrap();
    }
    layer.handle().set_max_keys(10).unwrap();
    assert_eq!(keys(&layer).len(), 10);
    for n in 0..100 {
        call(&service, n).await.unwrap();
        assert!(layer.handle().stats().keys <= 10);
    }
}
