//! For how long what is kept.

use std::time::Duration;

use donjon_cache::{CacheLayer, Keep};
use donjon_core::{CallError, Outcome, Ratio};
use donjon_store::{Lookup, MemoryStore};
use tokio::time::{Instant, advance};
use tokio_test::assert_ready_ok;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{by_number, call, prompt, secs};

#[tokio::test(start_paused = true)]
async fn a_value_ends_with_its_ttl() {
    let layer = by_number().ttl(secs(5));
    let (service, probe) = prompt(&layer);
    for (wait, calls) in [(0, 1), (4, 1), (1, 2), (4, 2)] {
        advance(secs(wait)).await;
        assert_ready_ok!(call(&service, 7).poll());
        assert_eq!(probe.stats().calls, calls);
    }
}

#[tokio::test(start_paused = true)]
async fn every_ttl_means_something() {
    let layer = by_number().ttl(Duration::ZERO);
    let (service, probe) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    assert_ready_ok!(call(&service, 7).poll());
    assert_eq!((probe.stats().calls, layer.handle().stats().unstored), (2, 2));
    layer.handle().set_ttl(Duration::MAX).unwrap();
    assert_ready_ok!(call(&service, 7).poll());
    advance(secs(1 << 31)).await;
    assert_ready_ok!(call(&service, 7).poll());
    assert_eq!(probe.stats().calls, 3);
}

#[tokio::test(start_paused = true)]
async fn a_value_lives_from_when_it_came_and_not_from_when_it_was_asked_for() {
    let layer = CacheLayer::new(|n: &u64| Some(*n)).ttl(secs(5));
    let service = layer.layer(service_fn(|n: u64| async move {
        tokio::time::sleep(secs(3)).await;
        Ok::<_, CallError>(n)
    }));
    service.clone().oneshot(7).await.unwrap();
    advance(secs(4)).await;
    service.clone().oneshot(7).await.unwrap();
    assert_eq!(layer.handle().stats().hits, 1);
    let Lookup::Fresh(found) = layer.handle().store().get(&7, Instant::now()) else { panic!("it is fresh") };
    assert_eq!(found.cost(), secs(3), "what it has cost is known");
}

#[tokio::test(start_paused = true)]
async fn a_ttl_may_depend_on_the_key_and_the_answer() {
    let policy = |key: &u64, answer: &u64| match (key, answer) {
        (1, _) => Keep::nothing(),
        (_, 20) => Keep::new().ttl(secs(1)),
        _ => Keep::new(),
    };
    let layer = CacheLayer::new(|n: &u64| Some(*n)).ttl(secs(10)).keep(policy);
    let service = layer.layer(service_fn(|n: u64| async move { Ok::<_, CallError>(10 * n) }));
    let mut hits = Vec::new();
    for n in [1, 2, 3] {
        service.clone().oneshot(n).await.unwrap();
        for wait in [0, 1] {
            advance(secs(wait)).await;
            let before = layer.handle().stats().hits;
            service.clone().oneshot(n).await.unwrap();
            hits.push(layer.handle().stats().hits - before);
        }
    }
    assert_eq!(hits, [0, 0, 1, 0, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn jitter_shortens_each_ttl_by_at_most_its_part() {
    let left = async |seed| {
        let layer = by_number().ttl(secs(100)).jitter(Ratio::new(0.2).unwrap()).seed(seed);
        let (service, _) = prompt(&layer);
        let now = Instant::now();
        let ttls = (0..200).map(|n| {
            assert_ready_ok!(call(&service, n).poll());
            let Lookup::Fresh(found) = layer.handle().store().get(&n, now) else { panic!("it is fresh") };
            found.lifetime().fresh_for()
        });
        ttls.collect::<Vec<_>>()
    };
    let ttls = left(1).await;
    assert!(ttls.iter().all(|ttl| (secs(80)..=secs(100)).contains(ttl)), "{ttls:?}");
    let (low, high) = (ttls.iter().min().unwrap(), ttls.iter().max().unwrap());
    assert!(*high - *low > secs(15), "it is spread");
    assert_eq!(ttls, left(1).await, "a seed repeats");
    assert_ne!(ttls, left(2).await);
}

#[tokio::test(start_paused = true)]
async fn negative_answers_have_a_ttl_of_their_own_and_none_unless_said() {
    let negative = |result: Result<&Option<u64>, &CallError>| match result {
        Ok(None) => Outcome::Permanent,
        _ => Outcome::Success,
    };
    let make = |ttl| CacheLayer::new(|n: &u64| Some(*n)).classify(negative).negative_ttl(ttl).stale_if_error(secs(60));
    for (ttl, wait, hits) in [(0, 0, 0), (2, 1, 1), (2, 2, 0)] {
        let layer = make(secs(ttl));
        let service = layer.layer(service_fn(|_: u64| async { Ok::<_, CallError>(None) }));
        assert_eq!(service.clone().oneshot(7).await.unwrap(), None);
        advance(secs(wait)).await;
        assert_eq!(service.clone().oneshot(7).await.unwrap(), None);
        assert_eq!(layer.handle().stats().hits, hits, "{ttl} {wait}");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_and_failures_are_not_stored() {
    let failing = |result: Result<&u64, &CallError>| match result {
        Ok(7) => Outcome::Throttled { retry_after: None },
        _ => Outcome::Success,
    };
    let layer = CacheLayer::new(|n: &u64| Some(*n)).classify(failing).negative_ttl(secs(9));
    let service =
        layer.layer(service_fn(|n: u64| async move { if n == 8 { Err(CallError::new("no")) } else { Ok(n) } }));
    for n in [7, 7, 8, 8] {
        let _ = service.clone().oneshot(n).await;
    }
    assert_eq!((layer.handle().stats().misses, layer.handle().store().stats().entries), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_is_answered_and_counted() {
    let layer = by_number().store(MemoryStore::weighing(1000, |_: &u64, _: &u64| 5000).build());
    let probe = donjon_test::Probe::number();
    let service = layer.layer(probe);
    for _ in 0..2 {
        service.clone().oneshot(7).await.unwrap();
    }
    let stats = layer.handle().stats();
    assert_eq!((stats.misses, stats.store_refusals, stats.stored), (2, 2, 0));
}
