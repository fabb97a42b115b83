//! Many threads, many keys, little room.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::Rejection;
use donjon_per_key::PerKeyLayer;
use tower::{Layer, ServiceExt, service_fn};

const KEYS: usize = 200;

/// The limit of a key holds, whatever leaves and comes: no key ever has two states that are in use.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limit_of_a_key_holds_while_keys_come_and_leave() {
    for max in [20, 100] {
        let running: Arc<Vec<AtomicUsize>> = Arc::new((0..KEYS).map(|_| AtomicUsize::new(0)).collect());
        let limit = ConcurrencyLimitLayer::new(1).queue(0);
        let layer = PerKeyLayer::new(|n: &usize| Some(*n), limit).max_keys(max);
        let service = layer.layer(service_fn({
            let running = Arc::clone(&running);
            move |n: usize| {
                let running = Arc::clone(&running);
                async move {
                    assert_eq!(running[n].fetch_add(1, Ordering::SeqCst), 0, "two calls of key {n}");
                    tokio::task::yield_now().await;
                    running[n].fetch_sub(1, Ordering::SeqCst);
                    Ok::<_, Rejection>(())
                }
            }
        }));
        let tasks: Vec<_> = (0..8)
            .map(|seed: usize| {
                let service = service.clone();
                let handle = layer.handle();
                tokio::spawn(async move {
                    let (mut n, mut answered) = (seed, 0);
                    for step in 0..2000 {
                        n = (n * 1_103_515_245 + 12_345) % (1 << 31);
                        answered += usize::from(service.clone().oneshot((n >> 8) % KEYS).await.is_ok());
                        if step % 10 == 0 {
                            assert!(handle.stats().keys <= max);
                        }
                    }
                    answered
                })
            })
            .collect();
        let mut answered = 0;
        for task in tasks {
            answered += task.await.unwrap();
        }
        assert!(answered > 4000, "{answered}");
        let stats = layer.handle().stats();
        assert_eq!((stats.busy, stats.keys), (0, max));
        assert_eq!(stats.created, stats.evicted + stats.expired + max as u64);
    }
}
