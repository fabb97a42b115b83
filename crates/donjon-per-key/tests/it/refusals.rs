//! What the layers of all keys have refused, counted together.

use std::time::Duration;

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{CallError, Deadline, Figure, FigureValue, Observe, Reject, Rejection, RejectionKind};
use donjon_per_key::{Handle, PerKeyLayer, Unkeyed};
use donjon_rate_limit::{Rate, RateLimitLayer};
use tokio::time::advance;
use tokio_test::assert_pending;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{call, held, one_each, refusal, running};

/// A request that has no key.
const NOBODY: u64 = 1_000_000;

fn limited() -> PerKeyLayer<crate::support::ByNumber, RateLimitLayer, u64> {
    PerKeyLayer::new(crate::support::by_number as _, RateLimitLayer::new(Rate::per_hour(1)))
}

/// The kinds of which there are any.
fn refused<L: donjon_core::Fresh>(handle: &Handle<u64, L>) -> Vec<(String, u64)> {
    let mut kinds = Vec::new();
    handle.observe(&mut |figure: Figure| {
        if let ("donjon_per_key_refused_total", FigureValue::Counter(n @ 1..)) = (figure.name(), figure.value()) {
            kinds.push((figure.labels().map(|(name, value)| format!("{name}={value}")).collect(), n));
        }
    });
    kinds
}

#[tokio::test(start_paused = true)]
async fn calls_that_a_rate_of_their_key_refuses_are_counted() {
    let layer = limited();
    let service = layer.layer(service_fn(async |n: u64| Ok::<_, Rejection>(n)));
    for key in [1, 2] {
        let mut refused = 0;
        for _ in 0..50 {
            refused += u64::from(service.clone().oneshot(key).await.is_err());
        }
        assert_eq!(refused, 49);
    }
    let stats = layer.handle().stats();
    assert_eq!((stats.refused, stats.refused_as(RejectionKind::RateLimited)), (98, 98));
    assert_eq!((stats.refused_as(RejectionKind::Overloaded), stats.when_full), (0, 0));
    assert_eq!(refused(&layer.handle()), [("kind=rate-limited".into(), 98)]);
}

#[tokio::test(start_paused = true)]
async fn the_refusals_of_a_key_outlast_it() {
    let layer = limited();
    let service = layer.layer(service_fn(async |n: u64| Ok::<_, Rejection>(n)));
    for n in 0..100 {
        let _ = service.clone().oneshot(n % 50).await;
    }
    assert_eq!(layer.handle().stats().keys, 50);
    advance(Duration::from_secs(3600)).await;
    let stats = layer.handle().stats();
    assert_eq!((stats.keys, stats.refused), (0, 50));
}

#[tokio::test(start_paused = true)]
async fn refusals_after_a_wait_and_inside_of_the_layer_are_counted_by_kind() {
    let layer = PerKeyLayer::new(|n: &u64| Some(*n), ConcurrencyLimitLayer::new(1));
    let service = layer.layer(service_fn(async |n: u64| match n {
        0 => Err::<(), _>(CallError::from_rejection(Rejection::new(RejectionKind::CircuitOpen, "inner"))),
        1 => Err(CallError::new("it failed")),
        _ => std::future::pending().await,
    }));
    service.clone().oneshot(0).await.unwrap_err();
    service.clone().oneshot(1).await.unwrap_err();
    let _running = {
        let mut call = tokio_test::task::spawn(service.clone().oneshot(2));
        assert_pending!(call.poll());
        call
    };
    let waits = Deadline::after(Duration::from_secs(1)).scope(service.clone().oneshot(2));
    waits.await.unwrap_err();
    assert_eq!(refused(&layer.handle()), [("kind=overloaded".into(), 1), ("kind=circuit-open".into(), 1)]);
    assert_eq!(layer.handle().stats().refused, 2, "an error that is no refusal is not among them");
}

#[tokio::test(start_paused = true)]
async fn refusals_of_a_shared_state_are_counted_and_those_of_this_layer_have_figures_of_their_own() {
    let layer = one_each().max_keys(1).without_key(Unkeyed::Share).when_full(Unkeyed::Share);
    let (service, _) = held(&layer);
    let _running = [running(&service, 1), running(&service, 2), running(&service, NOBODY)];
    for n in [1, 3, NOBODY] {
        assert_eq!(refusal(call(&service, n).await).0, "concurrency-limit");
    }
    assert_eq!(layer.handle().stats().refused_as(RejectionKind::Overloaded), 3);

    let refuses = layer.clone().without_key(Unkeyed::Refuse).when_full(Unkeyed::Refuse);
    let (service, _) = held(&refuses);
    for n in [2, NOBODY] {
        assert_eq!(refusal(call(&service, n).await).0, "per-key");
    }
    let stats = layer.handle().stats();
    assert_eq!((stats.refused, stats.when_full, stats.without_key), (3, 3, 3));
}
