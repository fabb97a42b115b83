//! Who shares what.

use donjon_cache::CacheLayer;
use donjon_core::{CallError, Fresh, Observe};
use tokio_test::assert_ready_ok;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{by_number, call, prompt};

#[tokio::test(start_paused = true)]
async fn clones_and_applications_of_a_layer_share_and_a_fresh_one_does_not() {
    let layer = by_number();
    let (service, probe) = prompt(&layer);
    let (other, other_probe) = prompt(&layer.clone());
    let (fresh, fresh_probe) = prompt(&layer.fresh());
    let (bypass, bypass_probe) = prompt(&layer.bypass());
    for _ in 0..2 {
        for service in [&service, &other, &fresh, &bypass] {
            assert_ready_ok!(call(service, 7).poll());
        }
    }
    // Two upstreams under one layer want `fresh`, or their name in the key.
    let calls = [probe, other_probe, fresh_probe, bypass_probe].map(|probe| probe.stats().calls);
    assert_eq!(calls, [1, 0, 1, 2]);
}

/// Both have looked before either has called. The second one finds the key free again, and the value there.
#[tokio::test(start_paused = true)]
async fn who_comes_when_the_call_of_another_has_just_ended_has_its_value() {
    let layer = by_number();
    let (service, probe) = prompt(&layer);
    let (mut first, mut second, mut third) = (call(&service, 7), call(&service, 7), call(&service, 8));
    assert_ready_ok!(first.poll());
    assert_ready_ok!(second.poll());
    assert_eq!(probe.stats().calls, 1);
    assert_ready_ok!(third.poll());
    assert_eq!(probe.stats().calls, 2, "that of another key is no reason not to call");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_key_goes_through() {
    let layer = CacheLayer::new(|n: &u64| (*n != 7).then_some(*n));
    let service = layer.layer(service_fn(|n: u64| async move { Ok::<_, CallError>(n) }));
    for n in [7, 7, 8, 8] {
        service.clone().oneshot(n).await.unwrap();
    }
    let stats = layer.handle().stats();
    assert_eq!((stats.bypassed, stats.misses, stats.hits), (2, 1, 1));
}

/// Services with other errors share the store, and have calls in flight of their own.
#[tokio::test(start_paused = true)]
async fn services_with_other_errors_share_the_values() {
    let layer = CacheLayer::new(|n: &u64| Some(*n));
    let one = layer.layer(service_fn(|n: u64| async move { Ok::<_, CallError>(n) }));
    let two = layer.layer(service_fn(|n: u64| async move { Ok::<_, donjon_core::Rejection>(n + 1) }));
    assert_eq!(one.clone().oneshot(7).await.unwrap(), 7);
    assert_eq!(two.clone().oneshot(7).await.unwrap(), 7);
    assert_eq!(two.oneshot(8).await.unwrap(), 9);
    assert_eq!(one.oneshot(8).await.unwrap(), 9);
}

#[tokio::test(start_paused = true)]
async fn the_figures_are_shown() {
    let layer = by_number();
    let (service, _) = prompt(&layer);
    for _ in 0..3 {
        assert_ready_ok!(call(&service, 7).poll());
    }
    let mut shown = Vec::new();
    layer.handle().observe(&mut |figure| shown.push((figure.name(), figure.value())));
    assert_eq!(shown.len(), 15);
    assert_eq!(format!("{:?}", shown[0]), r#"("donjon_cache_hits_total", Counter(2))"#);
}
