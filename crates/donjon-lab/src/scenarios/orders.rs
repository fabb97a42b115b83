//! The same layers in the right order, and in wrong ones.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use donjon_breaker::BreakerLayer;
use donjon_cache::CacheLayer;
use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::CallError;
use donjon_hedge::{Delay, HedgeLayer, Standard as Hedging};
use donjon_retry::{Budget, RetryLayer, Standard};
use donjon_timeout::TimeoutLayer;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::{
    Chart, Figure, Param, Report, Scenario, Scene,
    world::{Ask, Client, Dice, arrivals, client, play},
};

/// See the module.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "orders",
    title: "what goes wrong in a wrong order of layers",
    about: "Four pairs of layers over a service that takes 20 ms, each in the right order and in the wrong one. Cache and \
            retry: 30 % of the attempts fail, of calls for ten keys whose answers hold for 50 ms; here the wrong order \
            costs calls, and spares callers the failure that they share. Where the cache gives an old answer when a call \
            fails, the wrong order costs callers: the retry is not told of the failure that it is there for. Breaker and \
            retry: the service is down; the calls that get to it in the whole run, probes among them. Hedge and limit: one call in fifty stalls for 2 s, and the \
            service can do ten at once; the most that were in flight there. Attempt timeout and retry: one call in ten \
            stalls for ever; the share not answered within 1 s.",
    params: PARAMS,
    published: &[],
    play: play_all,
    draw,
};

const PARAMS: &[Param] = &[
    Param::new("rate", 200.0, (1.0, 2000.0), "calls a second"),
    Param::new("seconds", 20.0, (1.0, 600.0), "how long, s"),
    Param::new("failing", 0.3, (0.0, 1.0), "the share of attempts that fails under the cache"),
    Param::new("stalling", 0.1, (0.0, 1.0), "the share of attempts that stalls under the timeout"),
];

/// For how long an answer holds.
const TTL: Duration = Duration::from_millis(50);

const RIGHT: &str = "donjon, right order";

/// What one service does, and what was seen of it.
#[derive(Clone, Default)]
struct Seen {
    sent: Arc<AtomicU64>,
    now: Arc<AtomicU64>,
    most: Arc<AtomicU64>,
}

struct Told {
    calls: f64,
    answered: f64,
    sent: f64,
    most: f64,
}

#[derive(Clone, Copy)]
enum Weather {
    Fails(f64),
    Stalls(f64, Duration),
}

fn play_all(scene: &Scene<'_>) -> Vec<Figure> {
    let seed = scene.seed;
    let retry = move || RetryLayer::new(Standard::new()).max_attempts(4).seed(seed);
    let cache = || CacheLayer::new(|ask: &Ask| Some(ask.id % 10)).ttl(TTL).seed(seed);
    let mut figures = Vec::new();

    let failing = Weather::Fails(scene.get("failing"));
    for (name, inside) in [(RIGHT, false), ("cache inside retry", true)] {
        let told = one(scene, failing, |inner| match inside {
            false => client(cache().layer(retry().budget(Budget::unlimited()).layer(inner))),
            true => client(retry().budget(Budget::unlimited()).layer(cache().layer(inner))),
        });
        let failed = 100.0 * (1.0 - told.answered / told.calls);
        figures.push(Figure::new(name, "cache: load on the service", "x", told.sent / told.calls));
        figures.push(Figure::new(name, "cache: calls that failed", "%", failed));
    }

    let cache = || CacheLayer::new(|ask: &Ask| Some(ask.id % 10)).ttl(TTL).stale_if_error(TTL * 1000).seed(seed);
    for (name, inside) in [(RIGHT, false), ("cache inside retry", true)] {
        let old = old_answers(scene, |inner| match inside {
            false => client(cache().layer(retry().budget(Budget::unlimited()).layer(inner))),
            true => client(retry().budget(Budget::unlimited()).layer(cache().layer(inner))),
        });
        figures.push(Figure::new(name, "cache, stale if error: old answers", "%", old));
    }

    for (name, outside) in [(RIGHT, false), ("breaker outside retry", true)] {
        let told = one(scene, Weather::Fails(1.0), |inner| {
            let breaker = BreakerLayer::new().seed(seed);
            match outside {
                false => client(retry().budget(Budget::unlimited()).layer(breaker.layer(inner))),
                true => client(breaker.layer(retry().budget(Budget::unlimited()).layer(inner))),
            }
        });
        figures.push(Figure::new(name, "breaker: calls sent to a service that is down", "", told.sent));
    }

    let slow = Weather::Stalls(0.02, Duration::from_secs(2));
    for (name, inside) in [(RIGHT, false), ("hedge inside the limit", true)] {
        let told = one(scene, slow, |inner| {
            let hedge = HedgeLayer::new(Hedging::new()).delay(Delay::fixed(Duration::from_millis(40)));
            let hedge = hedge.budget(&Budget::unlimited());
            let limit = ConcurrencyLimitLayer::new(10).queue(1000);
            match inside {
                false => client(hedge.layer(limit.layer(inner))),
                true => client(limit.layer(hedge.layer(inner))),
            }
        });
        figures.push(Figure::new(name, "hedge: most in flight under a limit of 10", "", told.most));
    }

    let hangs = Weather::Stalls(scene.get("stalling"), Duration::from_secs(3600));
    for (name, outside) in [(RIGHT, false), ("attempt timeout outside retry", true)] {
        let told = one(scene, hangs, |inner| {
            let (retry, timeout) = (retry(), TimeoutLayer::new(Duration::from_millis(200)));
            match outside {
                false => client(ServiceBuilder::new().layer(retry).layer(timeout).service(inner)),
                true => client(ServiceBuilder::new().layer(timeout).layer(retry).service(inner)),
            }
        });
        let failed = 100.0 * (1.0 - told.answered / told.calls);
        figures.push(Figure::new(name, "attempt timeout: calls that failed", "%", failed));
    }
    figures
}

fn one(scene: &Scene<'_>, weather: Weather, wrap: impl FnOnce(Client) -> Client) -> Told {
    let seed = scene.seed;
    let (rate, seconds) = (scene.get("rate"), scene.get("seconds"));
    play(seed, || async move {
        let seen = Seen::default();
        let stack = wrap(service(seed, weather, seen.clone()));
        let answered = Arc::new(AtomicU64::new(0));
        let mut calls = 0;
        let mut dice = Dice::new(seed, 1);
        arrivals(rate, seconds, &mut dice, |id| {
            calls += 1;
            let (stack, answered) = (stack.clone(), Arc::clone(&answered));
            let began = Instant::now();
            tokio::spawn(async move {
                let ok = stack.oneshot(Ask::new(id)).await.is_ok() && began.elapsed() <= Duration::from_secs(1);
                answered.fetch_add(u64::from(ok), Ordering::Relaxed);
            });
        })
        .await;
        // What stalls for longer is not answered.
        sleep(Duration::from_secs(60)).await;
        let read = |it: &AtomicU64| it.load(Ordering::Relaxed) as f64;
        Told { calls: f64::from(calls), answered: read(&answered), sent: read(&seen.sent), most: read(&seen.most) }
    })
}

/// The share of the answers that are older than they may be, in percent.
fn old_answers(scene: &Scene<'_>, wrap: impl FnOnce(Client<Instant>) -> Client<Instant>) -> f64 {
    let seed = scene.seed;
    let (rate, seconds, failing) = (scene.get("rate"), scene.get("seconds"), scene.get("failing"));
    play(seed, || async move {
        // Says when its answer was made.
        let stack = wrap(client(service_fn(move |ask: Ask| {
            let fails = Dice::of_event(seed, ask.id, ask.arrive()).happens(failing);
            async move {
                sleep(Duration::from_millis(20)).await;
                if fails { Err(CallError::new("the service failed")) } else { Ok(Instant::now()) }
            }
        })));
        let (answers, old) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut dice = Dice::new(seed, 1);
        arrivals(rate, seconds, &mut dice, |id| {
            let (stack, answers, old) = (stack.clone(), Arc::clone(&answers), Arc::clone(&old));
            tokio::spawn(async move {
                if let Ok(made) = stack.oneshot(Ask::new(id)).await {
                    answers.fetch_add(1, Ordering::Relaxed);
                    old.fetch_add(u64::from(made.elapsed() > TTL), Ordering::Relaxed);
                }
            });
        })
        .await;
        sleep(Duration::from_secs(60)).await;
        100.0 * old.load(Ordering::Relaxed) as f64 / answers.load(Ordering::Relaxed).max(1) as f64
    })
}

fn service(seed: u64, weather: Weather, seen: Seen) -> Client {
    struct InFlight(Seen);
    impl Drop for InFlight {
        fn drop(&mut self) {
            self.0.now.fetch_sub(1, Ordering::Relaxed);
        }
    }
    client(service_fn(move |ask: Ask| {
        seen.sent.fetch_add(1, Ordering::Relaxed);
        seen.most.fetch_max(seen.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        let held = InFlight(seen.clone());
        let mut dice = Dice::of_event(seed, ask.id, ask.arrive());
        async move {
            let _held = held;
            sleep(Duration::from_millis(20)).await;
            match weather {
                Weather::Fails(share) if dice.happens(share) => return Err(CallError::new("the service failed")),
                Weather::Stalls(share, time) if dice.happens(share) => sleep(time).await,
                Weather::Fails(_) | Weather::Stalls(..) => {}
            }
            Ok(())
        }
    }))
}

fn draw(report: &Report) -> Chart {
    let metrics = [
        "cache: load on the service",
        "cache, stale if error: old answers",
        "breaker: calls sent to a service that is down",
        "hedge: most in flight under a limit of 10",
        "attempt timeout: calls that failed",
    ];
    Chart::bars("Orders of a stack: the right one, and four wrong ones", report, &metrics)
}
