use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use donjon_core::CallError;
use donjon_retry::RetryLayer;
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn four_attempts_in_all_by_default() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let upstream = service_fn(move |_: u64| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Err::<u64, _>(CallError::new("down")) }
    });
    RetryLayer::default().layer(upstream).oneshot(1).await.expect_err("it is down");
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}
