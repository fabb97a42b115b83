use std::time::Duration;

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{Rejection, RejectionKind};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn a_caller_beyond_the_limit_waits_for_the_one_in_flight() {
    let layer = ConcurrencyLimitLayer::new(1);
    let service = layer.layer(service_fn(|n: u64| async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok::<_, Rejection>(n)
    }));
    let (a, b) = tokio::join!(service.clone().oneshot(1), service.clone().oneshot(2));
    assert_eq!((a.unwrap(), b.unwrap()), (1, 2));
    let stats = layer.handle().stats();
    assert_eq!((stats.admitted, stats.max_in_flight, stats.in_flight, stats.queued), (2, 1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_a_caller_beyond_the_limit_is_refused() {
    let service = ConcurrencyLimitLayer::new(0).layer(service_fn(|n: u64| async move { Ok::<_, Rejection>(n) }));
    let error = service.oneshot(1).await.unwrap_err();
    assert_eq!(error.kind(), RejectionKind::Overloaded);
}
