//! How much load retries add when much or all fails, and what a budget costs when little does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use donjon_core::{CallError, Fresh};
use donjon_retry::{Backoff, Budget, RetryLayer, Standard};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, retry::Retry, retry::budget::TpsBudget, service_fn};

use crate::{
    Chart, Figure, Goal, Param, Published, Report, Scenario, Scene,
    baselines::retry_budget::{Finagle, SreBook},
    world::{
        Ask, Client, Dice, arrivals, client,
        peers::{Deposit, TowerRetry},
        play,
    },
};

/// See the module.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "retry-budget",
    title: "what retries add to the load, and what their budget costs",
    about: "One client calls a service for a minute, with at most three attempts a call. A share of all attempts fails, \
            each by itself; at 100 % all fail, and in an outage all fail for 2 s out of every 30 s. Three tiers are three \
            clients in a row, each with a budget of its own, over a service that always fails. The same attempts fail for \
            every policy.",
    params: PARAMS,
    published: PUBLISHED,
    play: play_all,
    draw,
};

const PARAMS: &[Param] = &[
    Param::new("seconds", 60.0, (1.0, 600.0), "how long the client calls, s"),
    Param::new("slow-rate", 10.0, (0.1, 1000.0), "calls a second of the slow client"),
    Param::new("rate", 100.0, (1.0, 2000.0), "calls a second of the fast client"),
    Param::new("share", 0.3, (0.0, 1.0), "the share of attempts that fails where only some do"),
    Param::count("attempts", 3, (1, 10), "attempts a call, the first one included"),
    Param::new("latency", 10.0, (0.0, 10_000.0), "how long an attempt takes, ms"),
];

const PUBLISHED: &[Published] = &[
    Published::modelled(
        ["AWS SDK 2.0, modelled", "load, all failing, slow client", "x"],
        1.17,
        "smithy-rs' standard mode, reproduced",
    ),
    Published::modelled(
        ["Finagle, modelled", "load, all failing, slow client", "x"],
        2.20,
        "finagle-core's RetryBudget, reproduced",
    ),
];

const POLICIES: &[Policy] = &[
    Policy::Donjon("donjon", Budget::new),
    Policy::None,
    Policy::Unlimited,
    Policy::Donjon("AWS 2.0 preset", Budget::aws_2_0),
    Policy::Donjon("AWS 2.1 preset", Budget::aws_2_1),
    Policy::Donjon("gRPC preset 10/0.1", grpc),
    Policy::Tower,
    Policy::Finagle,
    Policy::SreBook,
];

#[derive(Clone, Copy)]
enum Policy {
    /// donjon's layer with a budget of donjon's; the presets are those of other projects.
    Donjon(&'static str, fn() -> Budget),
    None,
    Unlimited,
    Tower,
    Finagle,
    SreBook,
}

/// What fails.
#[derive(Clone, Copy)]
enum Weather {
    /// This share of the attempts.
    Share(f64),
    /// All of them, for the first 2 s of each 30 s.
    Outages,
}

struct Outcome {
    calls: u64,
    succeeded: u64,
    sent: u64,
}

fn play_all(scene: &Scene<'_>) -> Vec<Figure> {
    let (slow, fast, share) = (scene.get("slow-rate"), scene.get("rate"), scene.get("share"));
    let mut figures = Vec::new();
    for policy in POLICIES {
        let name = policy.name();
        let ours = name == "donjon";
        if !scene.plays(ours) {
            continue;
        }
        let run = |rate, weather, tiers| one(scene, *policy, rate, weather, tiers);

        let some = run(fast, Weather::Share(share), 1);
        let reference = one(scene, Policy::Unlimited, fast, Weather::Share(share), 1);
        let lost = reference.success() - some.success();
        let retries = !matches!(policy, Policy::None);
        figures.push(Figure::new(name, "success, some failing", "%", some.success()));
        let lost = Figure::new(name, "lost against no budget, some failing", "points", lost);
        figures.push(lost.goal_if(ours, Goal::AtMost(0.05)));
        figures.push(Figure::new(name, "load, some failing", "x", some.load()));
        for (metric, rate) in [("load, all failing, slow client", slow), ("load, all failing, fast client", fast)] {
            let all = run(rate, Weather::Share(1.0), 1);
            figures.push(Figure::new(name, metric, "x", all.load()).goal_if(ours, Goal::AtMost(1.05)));
        }
        let outages = run(slow, Weather::Outages, 1);
        figures.push(Figure::new(name, "load, outages, slow client", "x", outages.load()));
        figures.push(Figure::new(name, "success, outages, slow client", "%", outages.success()));
        if retries {
            let tiers = run(slow, Weather::Share(1.0), 3);
            figures.push(
                Figure::new(name, "load under three tiers, all failing, slow client", "x", tiers.load())
                    .goal_if(ours, Goal::AtMost(1.15)),
            );
        }
    }
    figures
}

fn one(scene: &Scene<'_>, policy: Policy, rate: f64, weather: Weather, tiers: u32) -> Outcome {
    let seed = scene.seed;
    let (seconds, attempts) = (scene.get("seconds"), scene.get("attempts") as u32);
    let latency = Duration::from_secs_f64(scene.get("latency") / 1000.0);
    play(seed, || async move {
        let sent = Arc::new(AtomicU64::new(0));
        let succeeded = Arc::new(AtomicU64::new(0));
        let mut stack = service(seed, weather, latency, Arc::clone(&sent));
        for tier in 0..tiers {
            stack = policy.wrap(stack, attempts, seed.wrapping_add(tier.into()));
        }

        let mut calls = 0;
        let mut dice = Dice::new(seed, 1);
        arrivals(rate, seconds, &mut dice, |id| {
            calls += 1;
            let (stack, succeeded) = (stack.clone(), Arc::clone(&succeeded));
            tokio::spawn(async move {
                if stack.oneshot(Ask::new(id)).await.is_ok() {
                    succeeded.fetch_add(1, Ordering::Relaxed);
                }
            });
        })
        .await;
        // Long enough for the last retry of the last call.
        sleep(Duration::from_secs(300)).await;
        Outcome { calls, succeeded: succeeded.load(Ordering::Relaxed), sent: sent.load(Ordering::Relaxed) }
    })
}

fn service(seed: u64, weather: Weather, latency: Duration, sent: Arc<AtomicU64>) -> Client {
    let start = Instant::now();
    client(service_fn(move |ask: Ask| {
        sent.fetch_add(1, Ordering::Relaxed);
        let nth = ask.arrive();
        async move {
            sleep(latency).await;
            let fails = match weather {
                Weather::Share(share) => Dice::of_event(seed, ask.id, nth).happens(share),
                Weather::Outages => start.elapsed().as_secs() % 30 < 2,
            };
            if fails { Err(CallError::new("the service failed")) } else { Ok(()) }
        }
    }))
}

fn grpc() -> Budget {
    Budget::grpc(10, donjon_core::Ratio::new(0.1).expect("a tenth is from 0 to 1"))
}

// ===== impl Policy =====

impl Policy {
    fn name(self) -> &'static str {
        match self {
            Self::Donjon(name, _) => name,
            Self::None => "no retry",
            Self::Unlimited => "no budget",
            Self::Tower => "tower TpsBudget",
            Self::Finagle => "Finagle",
            Self::SreBook => "SRE book, 10 %",
        }
    }

    fn wrap(self, inner: Client, attempts: u32, seed: u64) -> Client {
        let donjon = |budget: Budget| {
            let layer = RetryLayer::new(Standard::new()).max_attempts(attempts).budget(budget).seed(seed);
            client(layer.backoff(Backoff::default()).layer(inner.clone()))
        };
        let tower = |policy: TowerRetry| client(Retry::new(policy, inner.clone()));
        match self {
            Self::Donjon(_, budget) => donjon(budget()),
            Self::None => inner,
            Self::Unlimited => donjon(Budget::new().bypass()),
            Self::Tower => tower(TowerRetry::new(attempts, TpsBudget::default(), Deposit::Success)),
            Self::Finagle => {
                let budget = Finagle::new(Duration::from_secs(10), 10, 0.2);
                tower(TowerRetry::new(attempts, budget, Deposit::Call))
            }
            Self::SreBook => tower(TowerRetry::new(attempts, SreBook::new(0.1), Deposit::Call)),
        }
    }
}

// ===== impl Outcome =====

impl Outcome {
    fn success(&self) -> f64 {
        100.0 * self.succeeded as f64 / self.calls.max(1) as f64
    }

    fn load(&self) -> f64 {
        self.sent as f64 / self.calls.max(1) as f64
    }
}

fn draw(report: &Report) -> Chart {
    let metrics = [
        "load, all failing, slow client",
        "load, all failing, fast client",
        "lost against no budget, some failing",
        "load under three tiers, all failing, slow client",
    ];
    Chart::bars("Retry budget: load when all fails, and what the budget costs when some does", report, &metrics)
}
