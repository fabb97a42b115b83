//! An empty cache before a database that cannot do without it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use donjon_cache::CacheLayer;
use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_timeout::{DeadlineLayer, TimeoutLayer};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    Chart, Figure, Param, Report, Scenario, Scene,
    world::{Ask, Client, Dice, arrivals, client, play},
};

/// See the module.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "cold-start",
    title: "an empty cache before a database that can serve a tenth of the calls",
    about: "A thousand calls a second for a thousand keys, asked for by Zipf's law, each waiting 500 ms; the database serves \
            100 a second (10 at once, 100 ms), in the order of arrival, and goes on with what nobody waits for. The cache \
            is empty at first, and holds for an hour. It is warm when of the calls made in a second 95 % are answered. \
            donjon's cache makes one call for all who wait for the same key; the limit before the database is the same \
            with and without that: as many calls as it serves at once, and four times as many in a queue.",
    params: PARAMS,
    published: &[],
    play: play_all,
    draw,
};

const PARAMS: &[Param] = &[
    Param::new("rate", 1000.0, (1.0, 10_000.0), "calls a second"),
    Param::count("keys", 1000, (1, 100_000), "keys"),
    Param::count("workers", 10, (1, 1000), "calls that the database serves at once"),
    Param::new("service", 100.0, (1.0, 10_000.0), "how long it takes for one, ms"),
    Param::new("timeout", 500.0, (1.0, 60_000.0), "how long a caller waits, ms"),
    Param::new("seconds", 30.0, (5.0, 600.0), "how long the scene goes on, s"),
];

#[derive(Clone, Copy, PartialEq)]
enum Policy {
    Cache,
    CacheAndLimit,
    Alone,
    AloneAndLimit,
}

const POLICIES: &[(&str, Policy)] = &[
    ("donjon cache + limit", Policy::CacheAndLimit),
    ("donjon cache", Policy::Cache),
    ("a cache without coalescing", Policy::Alone),
    ("a cache without coalescing + limit", Policy::AloneAndLimit),
];

fn play_all(scene: &Scene<'_>) -> Vec<Figure> {
    let mut figures = Vec::new();
    for &(name, policy) in POLICIES {
        let (seconds, calls) = one(scene, policy);
        let warm = seconds.iter().position(|(calls, answered)| *answered as f64 >= 0.95 * *calls as f64);
        let warm = warm.map_or(f64::NAN, |second| second as f64);
        let (all, answered) = seconds.iter().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        figures.push(Figure::new(name, "time until it is warm", "s", warm));
        figures.push(Figure::new(name, "answered in time", "%", 100.0 * answered as f64 / all.max(1) as f64));
        figures.push(Figure::new(name, "calls of the database", "", calls as f64));
    }
    figures
}

fn one(scene: &Scene<'_>, policy: Policy) -> (Vec<(u64, u64)>, u64) {
    let seed = scene.seed;
    let millis = |name| Duration::from_secs_f64(scene.get(name) / 1000.0);
    let (rate, length, keys) = (scene.get("rate"), scene.get("seconds"), scene.get("keys") as usize);
    let (service, patience, workers) = (millis("service"), millis("timeout"), scene.get("workers") as usize);
    play(seed, || async move {
        let calls = Arc::new(AtomicU64::new(0));
        let database = database(workers, service, Arc::clone(&calls));
        let cache = CacheLayer::new(|ask: &Ask| Some(ask.id)).ttl(Duration::from_secs(3600)).seed(seed);
        let limit = ConcurrencyLimitLayer::new(workers).queue(4 * workers);
        let stack = match policy {
            Policy::Cache => client(cache.layer(database)),
            Policy::CacheAndLimit => client(cache.layer(limit.layer(database))),
            Policy::Alone => alone(database),
            Policy::AloneAndLimit => alone(client(limit.layer(database))),
        };
        let stack = client(DeadlineLayer::new(patience).layer(TimeoutLayer::new(patience).layer(stack)));

        // Zipf's law: the n-th key is asked for in proportion to 1 / n.
        let weights: Vec<f64> = (1..=keys)
            .scan(0.0, |sum, n| {
                *sum += 1.0 / n as f64;
                Some(*sum)
            })
            .collect();
        let most = weights.last().copied().unwrap_or(1.0);
        let start = Instant::now();
        let seconds = Arc::new(Mutex::new(vec![(0, 0); length.ceil() as usize]));
        let (mut dice, mut which) = (Dice::new(seed, 1), Dice::new(seed, 2));
        arrivals(rate, length, &mut dice, |_| {
            let at = which.unit() * most;
            let key = weights.partition_point(|sum| *sum < at) as u64;
            let (stack, seconds) = (stack.clone(), Arc::clone(&seconds));
            let second = start.elapsed().as_secs() as usize;
            tokio::spawn(async move {
                let answered = stack.oneshot(Ask::new(key)).await.is_ok();
                let mut seconds = seconds.lock().expect("nobody panics under this lock");
                if let Some(it) = seconds.get_mut(second) {
                    *it = (it.0 + 1, it.1 + u64::from(answered));
                }
            });
        })
        .await;
        sleep(patience * 2).await;
        let seconds = std::mem::take(&mut *seconds.lock().expect("nobody panics under this lock"));
        (seconds, calls.load(Ordering::Relaxed))
    })
}

/// So many at once, and the rest in a queue without a bound; in tasks of its own.
fn database(workers: usize, service: Duration, calls: Arc<AtomicU64>) -> Client {
    let places = Arc::new(Semaphore::new(workers));
    client(service_fn(move |_: Ask| {
        let (places, calls) = (Arc::clone(&places), Arc::clone(&calls));
        let task = tokio::spawn(async move {
            let _place = places.acquire().await;
            calls.fetch_add(1, Ordering::Relaxed);
            sleep(service).await;
        });
        async move { task.await.map_err(donjon_core::CallError::from) }
    }))
}

/// What a cache is when nobody thinks of two callers at once.
fn alone(database: Client) -> Client {
    let kept: Arc<Mutex<BTreeMap<u64, ()>>> = Arc::default();
    client(service_fn(move |ask: Ask| {
        let (kept, database) = (Arc::clone(&kept), database.clone());
        async move {
            let lock = || kept.lock().expect("nobody panics under this lock");
            if lock().contains_key(&ask.id) {
                return Ok(());
            }
            let key = ask.id;
            database.oneshot(ask).await?;
            lock().insert(key, ());
            Ok(())
        }
    }))
}

fn draw(report: &Report) -> Chart {
    let metrics = ["time until it is warm", "answered in time", "calls of the database"];
    Chart::bars("Cold start: an empty cache before a database for a tenth of the calls", report, &metrics)
}
