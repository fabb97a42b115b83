use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;

/// The function, counted; from its third call on it fails.
fn counted(
    calls: Arc<AtomicUsize>,
) -> impl Service<String, Response = Arc<str>, Error = CallError, Future: Send> + Clone + 'static {
    service_fn(move |city: String| {
        let call = calls.fetch_add(1, Relaxed);
        async move {
            if call >= 2 {
                return Err(CallError::new("it is down"));
            }
            slow(city).await
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_hundred_at_once_are_one_call_and_the_next_is_none() {
    let (cache, calls) = (cache(), Arc::new(AtomicUsize::new(0)));
    let service = cache.layer(counted(Arc::clone(&calls)));
    assert_eq!(&*ask(&service, "Brno", 100).await.unwrap(), "sunny in Brno");
    assert_eq!(calls.load(Relaxed), 1);
    let began = tokio::time::Instant::now();
    assert_eq!(&*ask(&service, "Brno", 1).await.unwrap(), "sunny in Brno");
    assert_eq!((calls.load(Relaxed), began.elapsed()), (1, Duration::ZERO));
    assert_eq!(&*ask(&service, "Oslo", 1).await.unwrap(), "sunny in Oslo");
    let stats = cache.handle().stats();
    assert_eq!((calls.load(Relaxed), stats.coalesced, stats.hits), (2, 99, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_outlives_the_function() {
    let (cache, calls) = (cache(), Arc::new(AtomicUsize::new(1)));
    let service = cache.layer(counted(Arc::clone(&calls)));
    ask(&service, "Brno", 1).await.unwrap();
    tokio::time::advance(Duration::from_secs(300)).await;
    assert_eq!(&*ask(&service, "Brno", 1).await.unwrap(), "sunny in Brno", "stale, and better than nothing");
    assert!(ask(&service, "Oslo", 1).await.is_err());
    assert_eq!((calls.load(Relaxed), cache.handle().stats().rescued), (4, 1));
}
