//! One value that is dear to make and much asked for, each time that it runs out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use donjon_cache::CacheLayer;
use donjon_core::CallError;
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    Chart, Figure, Goal, Param, Published, Report, Scenario, Scene,
    world::{Ask, Client, Dice, arrivals, client, play},
};

/// See the module.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "stampede",
    title: "a value that takes 3 s to make and is asked for 100 times a second, each time that it runs out",
    about: "One key, asked for at random; the value takes 3 s to make and holds for 60 s. Counted from when it is first \
            there: how often it is made, how many callers wait for it, how many get an old one, for each 60 s. In the last \
            metric a tenth of the callers gives up at random times while there is nothing in the cache: those who stay \
            are to have their answer.",
    params: PARAMS,
    published: PUBLISHED,
    play: play_all,
    draw,
};

const PARAMS: &[Param] = &[
    Param::new("rate", 100.0, (0.1, 2000.0), "calls a second"),
    Param::new("cost", 3.0, (0.001, 60.0), "how long the value takes to make, s"),
    Param::new("ttl", 60.0, (0.1, 3600.0), "how long it holds, s"),
    Param::new("ttls", 10.0, (1.0, 100.0), "how many times that, after the first"),
];

const SOURCE: &str = "the same scene";
const PUBLISHED: &[Published] = &[
    Published::modelled(["single-flight, modelled", "made a TTL", ""], 0.96, SOURCE),
    Published::modelled(["single-flight, modelled", "callers who wait a TTL", ""], 292.0, SOURCE),
    Published::modelled(["single-flight, modelled", "old answers a TTL", ""], 0.0, SOURCE),
    Published::modelled(["stale-while-revalidate, modelled", "made a TTL", ""], 0.96, SOURCE),
    Published::modelled(["stale-while-revalidate, modelled", "callers who wait a TTL", ""], 0.0, SOURCE),
    Published::modelled(["stale-while-revalidate, modelled", "old answers a TTL", ""], 289.0, SOURCE),
];

#[derive(Clone, Copy, PartialEq)]
enum Policy {
    Ahead,
    SingleFlight,
    Stale,
    Alone,
}

const POLICIES: &[(&str, Policy)] = &[
    ("donjon refresh ahead", Policy::Ahead),
    ("donjon, as it is", Policy::SingleFlight),
    ("donjon, stale at once", Policy::Stale),
    ("a cache without coalescing", Policy::Alone),
];

fn play_all(scene: &Scene<'_>) -> Vec<Figure> {
    let mut figures = Vec::new();
    for &(name, policy) in POLICIES {
        let ours = policy == Policy::Ahead;
        if !scene.plays(policy != Policy::Alone) {
            continue;
        }
        let it = one(scene, policy);
        figures.push(Figure::new(name, "made a TTL", "", it.made).goal_if(ours, Goal::AtMost(1.05)));
        figures.push(Figure::new(name, "callers who wait a TTL", "", it.waited).goal_if(ours, Goal::AtMost(0.0)));
        figures.push(Figure::new(name, "old answers a TTL", "", it.old).goal_if(ours, Goal::AtMost(0.0)));
        if policy != Policy::Alone {
            let lost = lost(scene, policy);
            figures.push(Figure::new(name, "lost when others give up", "", lost).goal_if(true, Goal::AtMost(0.0)));
        }
    }
    figures
}

/// For each time that the value holds.
struct Counts {
    made: f64,
    waited: f64,
    old: f64,
}

fn one(scene: &Scene<'_>, policy: Policy) -> Counts {
    let seed = scene.seed;
    let (rate, ttls) = (scene.get("rate"), scene.get("ttls"));
    let (cost, ttl) = seconds(scene);
    play(seed, || async move {
        let made = Arc::new(AtomicU64::new(0));
        let stack = wrap(policy, source(cost, Arc::clone(&made)), ttl, cost, seed);
        let (waited, old) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        stack.clone().oneshot(Ask::new(0)).await.expect("the source never fails");
        let before = made.load(Ordering::Relaxed);

        let mut dice = Dice::new(seed, 1);
        arrivals(rate, ttls * ttl.as_secs_f64(), &mut dice, |id| {
            let (stack, waited, old) = (stack.clone(), Arc::clone(&waited), Arc::clone(&old));
            let began = Instant::now();
            tokio::spawn(async move {
                let made_at = stack.oneshot(Ask::new(id)).await.expect("the source never fails");
                waited.fetch_add(u64::from(began.elapsed() > Duration::ZERO), Ordering::Relaxed);
                old.fetch_add(u64::from(made_at.elapsed() > ttl), Ordering::Relaxed);
            });
        })
        .await;
        let read = |it: &AtomicU64| it.load(Ordering::Relaxed) as f64 / ttls;
        let made = (made.load(Ordering::Relaxed) - before) as f64 / ttls;
        Counts { made, waited: read(&waited), old: read(&old) }
    })
}

/// How many of those who stay are left without an answer.
fn lost(scene: &Scene<'_>, policy: Policy) -> f64 {
    let seed = scene.seed;
    let (cost, ttl) = seconds(scene);
    play(seed, || async move {
        let stack = wrap(policy, source(cost, Arc::default()), ttl, cost, seed);
        let mut dice = Dice::new(seed, 2);
        let mut stay = Vec::new();
        for id in 0..1000 {
            let call = stack.clone().oneshot(Ask::new(id));
            // The first one makes the call, and leaves as well.
            if id == 0 || dice.happens(0.1) {
                let patience = cost.mul_f64(dice.unit());
                tokio::spawn(timeout(patience, call));
            } else {
                // In time even if the call had to be made again by the last one.
                stay.push(tokio::spawn(timeout(cost * 2, call)));
            }
            sleep(cost / 2000).await;
        }
        let mut lost = 0.0;
        for call in stay {
            let answered = matches!(call.await, Ok(Ok(Ok(_))));
            lost += f64::from(u8::from(!answered));
        }
        lost
    })
}

fn seconds(scene: &Scene<'_>) -> (Duration, Duration) {
    let duration = |name| Duration::from_secs_f64(scene.get(name));
    (duration("cost"), duration("ttl"))
}

/// Says when its answer was made.
fn source(cost: Duration, made: Arc<AtomicU64>) -> Client<Instant> {
    client(service_fn(move |_: Ask| {
        made.fetch_add(1, Ordering::Relaxed);
        async move {
            sleep(cost).await;
            Ok::<_, CallError>(Instant::now())
        }
    }))
}

fn wrap(policy: Policy, source: Client<Instant>, ttl: Duration, cost: Duration, seed: u64) -> Client<Instant> {
    let cache = CacheLayer::new(|_: &Ask| Some(0_u8)).ttl(ttl).seed(seed);
    match policy {
        Policy::Ahead => client(cache.refresh_ahead().layer(source)),
        Policy::SingleFlight => client(cache.layer(source)),
        Policy::Stale => client(cache.stale_while_revalidate(cost * 10).layer(source)),
        Policy::Alone => alone(source, ttl),
    }
}

/// What a cache is when nobody thinks of two callers at once.
fn alone(source: Client<Instant>, ttl: Duration) -> Client<Instant> {
    let kept: Arc<std::sync::Mutex<Option<Instant>>> = Arc::default();
    client(service_fn(move |ask: Ask| {
        let (kept, source) = (Arc::clone(&kept), source.clone());
        async move {
            let lock = || kept.lock().expect("nobody panics under this lock");
            let fresh = lock().filter(|made| made.elapsed() < ttl);
            if let Some(made) = fresh {
                return Ok(made);
            }
            let made = source.oneshot(ask).await?;
            *lock() = Some(made);
            Ok(made)
        }
    }))
}

fn draw(report: &Report) -> Chart {
    let metrics = ["made a TTL", "callers who wait a TTL", "old answers a TTL"];
    Chart::bars("Stampede: a value of 3 s that holds for 60 s, 100 callers a second", report, &metrics)
}
