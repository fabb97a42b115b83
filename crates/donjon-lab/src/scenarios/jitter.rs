//! Many clients update one row at once: who waits how long before the next try.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use donjon_core::CallError;
use donjon_retry::{Backoff, Budget, Jitter, RetryLayer, Standard};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, retry::Retry, service_fn};

use crate::{
    Chart, Figure, Goal, Param, Published, Report, Scenario, Scene,
    chart::{Panel, Series},
    world::{
        Ask, Client, Dice, client,
        peers::{TowerRetry, tower_backoff},
        play,
    },
};

/// See the module.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "jitter",
    title: "how many calls and how long until every client has updated one row",
    about: "The scene of \"Exponential Backoff And Jitter\" (AWS Architecture Blog, 2015): all clients read a row and write \
            it back with its version, at once; one of them succeeds and the rest try again, until all have succeeded. Each \
            way over the network takes a normally distributed time. Base and cap are those of the exponential waits, \
            rtt-scaled ones have neither. The clock runs ten times slower than the scene says, since timers count whole \
            milliseconds.",
    params: PARAMS,
    published: PUBLISHED,
    play: play_all,
    draw,
};

const PARAMS: &[Param] = &[
    Param::count("clients", 100, (1, 500), "clients in the scene that has goals of its own"),
    Param::new("base", 5.0, (1.0, 1000.0), "base of the exponential waits, ms"),
    Param::new("cap", 2000.0, (1.0, 60_000.0), "cap of the exponential waits, ms"),
    Param::new("network", 10.0, (0.1, 1000.0), "mean of one way over the network, ms"),
    Param::new("deviation", 2.0, (0.0, 1000.0), "standard deviation of that, ms"),
    Param::count("repeats", 5, (1, 100), "how often a seed plays the scene; its figures are the mean"),
];

const PUBLISHED: &[Published] = &[
    Published::modelled(["full jitter, AWS, modelled", "calls, 100 clients", ""], 796.0, SOURCE),
    Published::modelled(["full jitter, AWS, modelled", "completion, 100 clients", "s"], 4.8, SOURCE),
];
const SOURCE: &str = "aws-samples/aws-arch-backoff-simulator";

/// Scene time is this many times faster than the clock.
const SLOWED: u32 = 10;

#[derive(Clone, Copy, PartialEq)]
enum Policy {
    Shared,
    Scaled,
    Full,
    Decorrelated,
    None,
    Tower,
}

const POLICIES: &[Policy] =
    &[Policy::Shared, Policy::Scaled, Policy::Full, Policy::Decorrelated, Policy::None, Policy::Tower];

fn play_all(scene: &Scene<'_>) -> Vec<Figure> {
    let mut figures = Vec::new();
    let own = scene.get("clients") as usize;
    for clients in [10, 50, own, 200] {
        let full = mean(scene, Policy::Full, clients);
        for &policy in POLICIES {
            let ours = matches!(policy, Policy::Shared | Policy::Scaled);
            if !scene.plays(ours) {
                continue;
            }
            // Doubling waits without jitter come back together for ever where nothing else spreads the clients.
            let (calls, time) = if policy == Policy::Full { full } else { mean(scene, policy, clients) };
            let name = policy.name();
            let (calls_goal, time_goal) = if clients == own { (560.0, 4.4) } else { (0.75 * full.0, full.1) };
            if clients == own {
                let metric = |what| format!("{what}, {clients} clients");
                figures.push(Figure::new(name, metric("calls"), "", calls).goal_if(ours, Goal::AtMost(calls_goal)));
                figures.push(Figure::new(name, metric("completion"), "s", time).goal_if(ours, Goal::AtMost(time_goal)));
            } else {
                let metric = |what| format!("{what} over full jitter's, {clients} clients");
                let (calls, time) = (calls / full.0, time / full.1);
                figures.push(Figure::new(name, metric("calls"), "x", calls).goal_if(ours, Goal::AtMost(0.75)));
                figures.push(Figure::new(name, metric("completion"), "x", time).goal_if(ours, Goal::AtMost(1.0)));
            }
        }
    }
    figures
}

/// Calls, and seconds until all are done.
fn mean(scene: &Scene<'_>, policy: Policy, clients: usize) -> (f64, f64) {
    let repeats = scene.get("repeats") as u64;
    let all: Vec<_> = (0..repeats).map(|repeat| one(scene, policy, clients, repeat)).collect();
    let of = |part: fn(&(f64, f64)) -> f64| all.iter().map(part).sum::<f64>() / repeats as f64;
    (of(|it| it.0), of(|it| it.1))
}

fn one(scene: &Scene<'_>, policy: Policy, clients: usize, repeat: u64) -> (f64, f64) {
    let seed = scene.seed.wrapping_mul(1000).wrapping_add(repeat);
    let slowed = |name| scene.get(name) * f64::from(SLOWED);
    let (network, deviation) = (slowed("network"), slowed("deviation"));
    let millis = |name| Duration::from_secs_f64(slowed(name) / 1000.0);
    let (base, cap) = (millis("base"), millis("cap"));
    play(seed, || async move {
        let calls = Arc::new(AtomicU64::new(0));
        let row = row(Dice::new(seed, 1), network, deviation, Arc::clone(&calls));
        let stack = policy.wrap(row, base, cap, seed);
        let start = Instant::now();
        let all = (0..clients as u64).map(|id| stack.clone().oneshot(Ask::new(id)));
        let done = join_all(all).await;
        assert!(done.iter().all(Result::is_ok), "nobody gives up");
        (calls.load(Ordering::Relaxed) as f64, start.elapsed().as_secs_f64() / f64::from(SLOWED))
    })
}

/// A row with a version: a call reads it and writes it back.
fn row(dice: Dice, network: f64, deviation: f64, calls: Arc<AtomicU64>) -> Client {
    let dice = Arc::new(Mutex::new(dice));
    let version = Arc::new(AtomicU64::new(0));
    client(service_fn(move |_: Ask| {
        let (dice, version, calls) = (Arc::clone(&dice), Arc::clone(&version), Arc::clone(&calls));
        let way = move || {
            let mut dice = dice.lock().expect("nobody panics under this lock");
            let millis = dice.normal(network, deviation).abs();
            sleep(dice.millis(millis))
        };
        async move {
            way().await;
            let read = version.load(Ordering::Relaxed);
            way().await;
            way().await;
            calls.fetch_add(1, Ordering::Relaxed);
            let written = version.compare_exchange(read, read + 1, Ordering::Relaxed, Ordering::Relaxed);
            way().await;
            written.map(drop).map_err(|_| CallError::new("somebody else has written"))
        }
    }))
}

// ===== impl Policy =====

impl Policy {
    fn name(self) -> &'static str {
        match self {
            Self::Shared => "donjon rtt-shared",
            Self::Scaled => "donjon rtt-scaled",
            Self::Full => "full jitter",
            Self::Decorrelated => "decorrelated jitter",
            Self::None => "no wait",
            Self::Tower => "tower ExponentialBackoff",
        }
    }

    fn wrap(self, inner: Client, base: Duration, cap: Duration, seed: u64) -> Client {
        let longest = Duration::from_secs(20) * SLOWED;
        let backoff = match self {
            Self::Shared => Backoff::rtt_shared().cap(longest),
            Self::Scaled => Backoff::rtt_scaled().cap(longest),
            // That simulator's first wait is already twice the base.
            Self::Full => Backoff::exponential(base * 2, cap),
            Self::Decorrelated => Backoff::exponential(base, cap).jitter(Jitter::Decorrelated),
            Self::None => Backoff::constant(Duration::ZERO),
            Self::Tower => {
                let policy = TowerRetry::unlimited().tower_backoff(tower_backoff(base, cap));
                return client(Retry::new(policy, inner));
            }
        };
        let layer = RetryLayer::new(Standard::new()).max_attempts(u32::MAX).budget(Budget::unlimited());
        client(layer.backoff(backoff).seed(seed).layer(inner))
    }
}

fn draw(report: &Report) -> Chart {
    let lines = |what: &str, title: &str, y: &str| {
        let own = format!("{what}, ");
        let line = |policy: &Policy| {
            let at = |clients: f64, metric: &str| Some((clients, report.value(policy.name(), metric)?));
            let mut points = Vec::new();
            for clients in [10.0, 50.0, 200.0] {
                points.extend(at(clients, &format!("{what} over full jitter's, {clients} clients")));
            }
            let of_own =
                report.rows.iter().find(|row| row.mean.metric.starts_with(&own) && row.mean.policy == policy.name());
            let full =
                report.rows.iter().find(|row| row.mean.metric.starts_with(&own) && row.mean.policy == "full jitter");
            if let (Some(own), Some(full)) = (of_own, full) {
                let clients = own.mean.metric.split(' ').nth(1).and_then(|it| it.parse().ok());
                points.extend(clients.map(|clients: f64| (clients, own.mean.value / full.mean.value)));
            }
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            Series { policy: policy.name().to_owned(), points }
        };
        Panel::lines(title, "clients", y, POLICIES.iter().filter(|it| **it != Policy::None).map(line).collect())
    };
    Chart {
        title: "Jitter: many clients update one row (the AWS scene), against full jitter".to_owned(),
        panels: vec![
            lines("calls", "calls, full jitter's = 1", "calls [x]"),
            lines("completion", "time until all are done, full jitter's = 1", "time [x]"),
            Panel::bars(report, "calls, 100 clients"),
            Panel::bars(report, "completion, 100 clients"),
        ],
    }
}
