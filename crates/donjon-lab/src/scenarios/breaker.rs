//! How soon a circuit opens when a service fails, and how often it does when it should not.

use std::{sync::Arc, sync::Mutex, time::Duration};

use donjon_breaker::{BreakerLayer, State, Trip};
use donjon_core::CallError;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, service_fn};

use crate::{
    Chart, Figure, Goal, Param, Published, Report, Scenario, Scene,
    baselines::breaker::{Circuit, Polly, Resilience4j},
    world::{Dice, play},
};

/// See the module.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "breaker",
    title: "calls until the circuit opens, and false openings",
    about: "A client calls a service 100 times a second. After 30 s without a failure all, half or 30 % of the calls fail: \
            how many calls until the circuit opens (the median of many openings; those that took more than 10,000 calls \
            never opened). False openings are counted over calls of which 5 % fail, each by itself. The \
            breaker of tower-resilience has no row: it reads the machine's clock (`std::time::Instant`), which cannot be \
            paused.",
    params: PARAMS,
    published: PUBLISHED,
    play: play_all,
    draw,
};

const PARAMS: &[Param] = &[
    Param::new("rate", 100.0, (1.0, 1000.0), "calls a second"),
    Param::new("healthy", 30.0, (0.0, 600.0), "the healthy spell, s"),
    Param::new("openings", 25.0, (1.0, 1000.0), "openings, of which the median is taken"),
    Param::new("calls", 2_000_000.0, (1000.0, 1e9), "calls over which false openings are counted"),
    Param::new("errors", 0.05, (0.0, 1.0), "the share that fails while nothing is wrong"),
];

const SOURCE: &str = "a model of the same scene";
const PUBLISHED: &[Published] = &[
    Published {
        policy: "consecutive 5, published",
        metric: "calls to open, outage",
        unit: "",
        value: 5.0,
        source: SOURCE,
    },
    Published {
        policy: "consecutive 5, published",
        metric: "calls to open, 50 % failing",
        unit: "",
        value: 37.0,
        source: SOURCE,
    },
    Published {
        policy: "consecutive 5, published",
        metric: "calls to open, 30 % failing",
        unit: "",
        value: 489.0,
        source: SOURCE,
    },
    Published { policy: "Polly, published", metric: "calls to open, outage", unit: "", value: 274.0, source: SOURCE },
    Published {
        policy: "Polly, published",
        metric: "calls to open, 50 % failing",
        unit: "",
        value: 556.0,
        source: SOURCE,
    },
    Published {
        policy: "Polly, published",
        metric: "calls to open, 30 % failing",
        unit: "",
        value: 929.0,
        source: SOURCE,
    },
];

#[derive(Clone, Copy, PartialEq)]
enum Policy {
    Score,
    Consecutive,
    Resilience4j,
    Polly,
}

const POLICIES: &[(&str, Policy)] = &[
    ("donjon score", Policy::Score),
    ("donjon, 5 in a row", Policy::Consecutive),
    ("resilience4j", Policy::Resilience4j),
    ("Polly", Policy::Polly),
];

const NEVER: u64 = 10_000;

/// A circuit that is told outcomes: the real layer over a service that does as it is told, or a baseline.
enum Subject {
    Layer(Box<dyn FnMut(bool) -> bool>),
    Baseline(Box<dyn Circuit>),
}

fn play_all(scene: &Scene<'_>) -> Vec<Figure> {
    let mut figures = Vec::new();
    for &(name, policy) in POLICIES {
        let ours = policy == Policy::Score;
        if !scene.plays(ours) {
            continue;
        }
        for (weather, share, most) in [("outage", 1.0, 7.0), ("50 % failing", 0.5, 20.0), ("30 % failing", 0.3, 50.0)] {
            let calls = until_open(scene, policy, share);
            let metric = format!("calls to open, {weather}");
            figures.push(Figure::new(name, metric, "", calls).goal_if(ours, Goal::AtMost(most)));
        }
        // The others need a clock that goes on for hours: what they do at 5 % follows from their windows.
        if matches!(policy, Policy::Score | Policy::Consecutive) {
            let openings = false_openings(scene, policy);
            let metric = "false openings in 10 million calls";
            figures.push(Figure::new(name, metric, "", openings).goal_if(ours, Goal::AtMost(1.0)));
        }
    }
    figures
}

fn until_open(scene: &Scene<'_>, policy: Policy, share: f64) -> f64 {
    let seed = scene.seed;
    let pause = Duration::from_secs_f64(1.0 / scene.get("rate"));
    let (spell, openings) = (scene.get("healthy") * scene.get("rate"), scene.get("openings") as usize);
    play(seed, || async move {
        let mut dice = Dice::new(seed, 1);
        let mut counts = Vec::new();
        for _ in 0..openings {
            let mut subject = Subject::new(policy, seed);
            for _ in 0..spell as u64 {
                subject.call(false).await;
                sleep(pause).await;
            }
            let mut calls = 0;
            loop {
                calls += 1;
                if subject.call(dice.happens(share)).await {
                    break;
                }
                if calls == NEVER {
                    calls = u64::MAX;
                    break;
                }
                sleep(pause).await;
            }
            counts.push(calls);
        }
        counts.sort_unstable();
        match counts[counts.len() / 2] {
            u64::MAX => f64::NAN,
            median => median as f64,
        }
    })
}

fn false_openings(scene: &Scene<'_>, policy: Policy) -> f64 {
    let (seed, calls, share) = (scene.seed, scene.get("calls") as u64, scene.get("errors"));
    play(seed, || async move {
        let mut dice = Dice::new(seed, 2);
        let mut subject = Subject::new(policy, seed);
        let mut openings = 0;
        for _ in 0..calls {
            if subject.call(dice.happens(share)).await {
                openings += 1;
                subject = Subject::new(policy, seed);
            }
        }
        1e7 * f64::from(openings) / calls as f64
    })
}

// ===== impl Subject =====

impl Subject {
    fn new(policy: Policy, seed: u64) -> Self {
        let layer = |trip| {
            let breaker = BreakerLayer::new().trip(trip).seed(seed);
            let handle = breaker.handle();
            // Which outcome is next is told beside the call, since requests and answers are of no account here.
            let next = Arc::new(Mutex::new(false));
            let told = Arc::clone(&next);
            let mut service = breaker.layer(service_fn(move |()| {
                let fails = *told.lock().expect("nobody panics under this lock");
                std::future::ready(if fails { Err(CallError::new("the service failed")) } else { Ok(()) })
            }));
            Self::Layer(Box::new(move |fails| {
                *next.lock().expect("nobody panics under this lock") = fails;
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                let ready = service.poll_ready(&mut context);
                assert!(ready.is_ready(), "a breaker in front of a service that is always ready is ready");
                let call = std::pin::pin!(service.call(()));
                assert!(call.poll(&mut context).is_ready(), "the service answers at once");
                handle.state() == State::Open
            }))
        };
        match policy {
            Policy::Score => layer(Trip::score()),
            Policy::Consecutive => layer(Trip::consecutive(5)),
            Policy::Resilience4j => Self::Baseline(Box::new(Resilience4j::default())),
            Policy::Polly => Self::Baseline(Box::new(Polly::new(Instant::now()))),
        }
    }

    /// Makes a call that fails or does not; whether the circuit is open now.
    async fn call(&mut self, fails: bool) -> bool {
        match self {
            Self::Layer(call) => call(fails),
            Self::Baseline(circuit) => circuit.record(Instant::now(), fails, Duration::ZERO),
        }
    }
}

fn draw(report: &Report) -> Chart {
    let metrics = [
        "calls to open, outage",
        "calls to open, 50 % failing",
        "calls to open, 30 % failing",
        "false openings in 10 million calls",
    ];
    Chart::bars("Breaker: calls until it opens, after 30 s without a failure", report, &metrics)
}
