//! Removal by key, by tag and of everything.

use donjon_cache::{CacheLayer, Keep};
use donjon_core::CallError;
use donjon_test::Reply;
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{by_number, call, held, prompt};

#[tokio::test(start_paused = true)]
async fn by_key() {
    let layer = by_number();
    let (service, probe) = prompt(&layer);
    for n in [7, 8] {
        assert_ready_ok!(call(&service, n).poll());
    }
    layer.handle().invalidate(&7);
    for n in [7, 8] {
        assert_ready_ok!(call(&service, n).poll());
    }
    assert_eq!(probe.stats().calls, 3);
}

#[tokio::test(start_paused = true)]
async fn by_tag() {
    let tagged = |n: &u64, _: &u64| {
        if n.is_multiple_of(2) { Keep::new().tag("even") } else { Keep::new().tag("odd").tag("all") }
    };
    let layer = CacheLayer::new(|n: &u64| Some(*n)).keep(tagged);
    let service = layer.layer(service_fn(|n: u64| async move { Ok::<_, CallError>(n) }));
    let ask = async || {
        let before = layer.handle().stats().misses;
        for n in 0..10 {
            service.clone().oneshot(n).await.unwrap();
        }
        layer.handle().stats().misses - before
    };
    assert_eq!(ask().await, 10);
    layer.handle().invalidate_tag("even");
    assert_eq!(ask().await, 5);
    layer.handle().invalidate_tag("all");
    assert_eq!(ask().await, 5);
    layer.handle().invalidate_tag("nobody's");
    assert_eq!(ask().await, 0);
}

#[tokio::test(start_paused = true)]
async fn of_everything() {
    let layer = by_number();
    let (service, probe) = prompt(&layer);
    for n in 0..10 {
        assert_ready_ok!(call(&service, n).poll());
    }
    layer.handle().invalidate_all();
    assert_eq!(layer.handle().store().stats().entries, 0);
    assert_ready_ok!(call(&service, 7).poll());
    assert_eq!(probe.stats().calls, 11);
}

/// What is being made from what was removed is answered to those who had asked for it, and neither kept nor joined.
#[tokio::test(start_paused = true)]
async fn a_removal_overtakes_the_calls_that_run() {
    let all: [fn(&crate::support::NumberLayer); 3] = [
        |layer| layer.handle().invalidate(&7),
        |layer| layer.handle().invalidate_tag("any"),
        |layer| layer.handle().invalidate_all(),
    ];
    for (which, remove) in all.into_iter().enumerate() {
        let layer = by_number();
        let (service, probe) = held(&layer);
        let mut before = call(&service, 7);
        assert_pending!(before.poll());
        remove(&layer);
        let mut after = call(&service, 7);
        assert_pending!(after.poll());
        assert_eq!(probe.stats().calls, 2, "a call from before may not have seen the change");
        probe.release(1);
        assert_ready_ok!(before.poll());
        // A tag that it does not have is nothing to it.
        assert_eq!(layer.handle().stats().stored, u64::from(which == 1));
        probe.reply(Reply::answer());
        probe.release_all();
        assert_ready_ok!(after.poll());
        assert_eq!(layer.handle().stats().stored, 1 + u64::from(which == 1));
        assert_ready_ok!(call(&service, 7).poll());
        assert_eq!(probe.stats().calls, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn of_any_store_by_futures() {
    let layer = by_number();
    let (service, probe) = prompt(&layer);
    let handle = layer.handle();
    for n in 1..=4 {
        assert_ready_ok!(call(&service, 7).poll());
        assert_eq!(probe.stats().calls, n);
        match n {
            1 => handle.remove(&7).await.unwrap(),
            2 => handle.remove_all().await.unwrap(),
            _ => {
                handle.remove_tag("any").await.unwrap();
                assert_ready_ok!(call(&service, 7).poll());
                handle.invalidate(&7);
            }
        }
    }
}
