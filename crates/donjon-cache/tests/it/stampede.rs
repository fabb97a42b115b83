//! One key that is asked for 100 times a second, takes 3 s to make, and lives for 60 s.

use std::{cell::Cell, rc::Rc, time::Duration};

use donjon_cache::Cache;
use donjon_core::CallError;
use tokio::{
    task::LocalSet,
    time::{Instant, sleep, sleep_until},
};
use tower::{Layer, Service, service_fn};

use crate::support::{NumberLayer, by_number};

const TTL: u64 = 60;

struct Row {
    /// For each TTL.
    recomputes: f64,
    blocked: u64,
    stale: u64,
}

/// Arrivals for so many TTLs, after a first one to warm up.
async fn row(layer: NumberLayer, rounds: u64, mut gap: impl FnMut() -> Duration) -> Row {
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = std::sync::Arc::clone(&calls);
    let mut service: Cache<_, _, _, _> = layer.layer(service_fn(move |n: u64| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            sleep(Duration::from_secs(3)).await;
            Ok::<_, CallError>(n)
        }
    }));
    let blocked = Rc::new(Cell::new(0));
    let set = LocalSet::new();
    let started = Instant::now();
    let mut at = started;
    let mut warm = None;
    set.run_until(async {
        while at < started + Duration::from_secs(TTL * (rounds + 1)) {
            sleep_until(at).await;
            if warm.is_none() && at >= started + Duration::from_secs(TTL) {
                warm = Some((calls.load(std::sync::atomic::Ordering::Relaxed), layer.handle().stats()));
                blocked.set(0);
            }
            let call = service.call(7);
            let blocked = Rc::clone(&blocked);
            tokio::task::spawn_local(async move {
                let start = Instant::now();
                call.await.unwrap();
                if start.elapsed() > Duration::ZERO {
                    blocked.set(blocked.get() + 1);
                }
            });
            at += gap();
        }
        // Those who wait still.
        sleep(Duration::from_secs(10)).await;
    })
    .await;
    let (before, stats) = warm.unwrap();
    let made = calls.load(std::sync::atomic::Ordering::Relaxed) - before;
    Row {
        recomputes: made as f64 / rounds as f64,
        blocked: blocked.get(),
        stale: layer.handle().stats().stale - stats.stale,
    }
}

fn layer() -> NumberLayer {
    by_number().ttl(Duration::from_secs(TTL))
}

/// Gaps of a Poisson process of 100 a second.
fn poisson(seed: u64) -> impl FnMut() -> Duration {
    let mut random = fastrand::Rng::with_seed(seed);
    move || Duration::from_secs_f64(-(1.0 - random.f64()).ln() / 100.0)
}

#[tokio::test(start_paused = true)]
async fn refreshed_ahead_nobody_waits_and_nothing_is_stale() {
    for seed in 0..3 {
        let row = row(layer().refresh_ahead(), 20, poisson(seed)).await;
        assert!(row.recomputes <= 1.05, "seed {seed}: {} recomputes a TTL", row.recomputes);
        assert_eq!((row.blocked, row.stale), (0, 0), "seed {seed}");
    }
    let row = row(layer().refresh_ahead(), 20, || Duration::from_millis(10)).await;
    assert!(row.recomputes <= 1.05, "{} recomputes a TTL", row.recomputes);
    assert_eq!((row.blocked, row.stale), (0, 0));
}

/// What it is worth: the same with coalescing alone, and with stale answers.
#[tokio::test(start_paused = true)]
async fn without_it_some_wait_or_get_what_is_stale() {
    let plain = row(layer(), 5, poisson(1)).await;
    assert!(plain.recomputes <= 1.0 && plain.blocked / 5 > 200, "{} {}", plain.recomputes, plain.blocked);
    let stale = row(layer().stale_while_revalidate(Duration::from_secs(10)), 5, poisson(1)).await;
    assert!(stale.recomputes <= 1.0 && stale.blocked == 0 && stale.stale / 5 > 200, "{}", stale.stale);
}
