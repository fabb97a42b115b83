use std::{future::pending, time::Duration};

use donjon_core::{CallError, Deadline, Phase, Reject, RejectionKind};
use donjon_timeout::{DeadlineLayer, TimeoutLayer};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline() {
    let layer = DeadlineLayer::new(Duration::from_secs(5));
    let service = layer.layer(service_fn(|_: u64| pending::<Result<u64, CallError>>()));
    let start = Instant::now();
    let error = service.oneshot(1).await.expect_err("it never answers");
    let rejection = error.as_rejection().expect("a refusal");
    assert_eq!((rejection.kind(), rejection.phase()), (RejectionKind::DeadlineExceeded, Phase::Attempt));
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(layer.handle().stats().attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_at_its_timeout() {
    let layer = TimeoutLayer::new(Duration::from_secs(1));
    let service = layer.layer(service_fn(|_: u64| pending::<Result<u64, CallError>>()));
    let start = Instant::now();
    let error = service.oneshot(1).await.expect_err("it never answers");
    let rejection = error.as_rejection().expect("a refusal");
    assert_eq!((rejection.kind(), rejection.phase()), (RejectionKind::AttemptTimeout, Phase::Attempt));
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(layer.handle().stats().total(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_inner_call_sees_the_deadline() {
    let service = DeadlineLayer::new(Duration::from_secs(5))
        .layer(service_fn(|_: u64| async { Ok::<_, CallError>(Deadline::current().remaining()) }));
    assert_eq!(service.oneshot(1).await.expect("it answers"), Some(Duration::from_secs(5)));
}
