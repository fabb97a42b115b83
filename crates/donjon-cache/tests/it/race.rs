//! Removals against calls, refreshes and those who leave, on several threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use donjon_cache::{CacheLayer, Keep};
use donjon_core::CallError;
use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};
use tower::{Layer, Service, service_fn};

const KEYS: usize = 3;

/// Whoever asks when a removal is done never gets what was made before it began.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_gets_what_was_removed_before_he_has_asked() {
    // What there is, and what has been there when the last removal was done.
    let current: Arc<[AtomicU64; KEYS]> = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
    let floor: Arc<[AtomicU64; KEYS]> = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
    let read = Arc::clone(&current);
    let layer = CacheLayer::new(|key: &usize| Some(*key))
        .ttl(Duration::from_micros(300))
        .stale_while_revalidate(Duration::from_millis(2))
        .stale_if_error(Duration::from_millis(5))
        .refresh_ahead()
        .keep(|key: &usize, _: &u64| Keep::new().tag(format!("key {key}")));
    let service = layer.layer(service_fn(move |key: usize| {
        let read = Arc::clone(&read);
        async move {
            let value = read[key].load(SeqCst);
            for _ in 0..fastrand::u8(..8) {
                yield_now().await;
            }
            if fastrand::u8(..8) == 0 { Err(CallError::new("it failed")) } else { Ok(value) }
        }
    }));
    let enough = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for key in 0..KEYS {
        let (current, floor, handle) = (Arc::clone(&current), Arc::clone(&floor), layer.handle());
        let enough = Arc::clone(&enough);
        tasks.spawn(async move {
            while !enough.load(SeqCst) {
                let next = current[key].fetch_add(1, SeqCst) + 1;
                match fastrand::u8(..8) {
                    0 => handle.invalidate_all(),
                    1..4 => handle.invalidate_tag(&format!("key {key}")),
                    _ => handle.invalidate(&key),
                }
                floor[key].store(next, SeqCst);
                for _ in 0..fastrand::u8(..16) {
                    yield_now().await;
                }
            }
        });
    }
    for _ in 0..8 {
        let (floor, enough, mut service) = (Arc::clone(&floor), Arc::clone(&enough), service.clone());
        tasks.spawn(async move {
            while !enough.load(SeqCst) {
                let key = fastrand::usize(..KEYS);
                let least = floor[key].load(SeqCst);
                let call = service.call(key);
                if fastrand::u8(..4) == 0 {
                    // It leaves in the middle, or is there in time.
                    let _ = timeout(Duration::ZERO, call).await;
                } else if let Ok(value) = call.await {
                    assert!(value >= least, "key {key}: {value} was removed by {least}");
                }
            }
        });
    }
    // All of it has happened, and often; or somebody has found a fault.
    let done = async {
        loop {
            let stats = layer.handle().stats();
            let calls = [stats.hits, stats.misses, stats.coalesced, stats.stale, stats.refreshes, stats.stored];
            if calls.iter().all(|figure| *figure > 500) && stats.rescued > 5 {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = done => {}
        ended = tasks.join_next() => ended.expect("there are tasks").unwrap(),
    }
    enough.store(true, SeqCst);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    // Nothing is left over.
    while layer.handle().stats().refreshing > 0 {
        yield_now().await;
    }
}
