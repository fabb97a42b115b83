//! How soon a circuit opens when a service fails, and how often it does when it should not.

use std::{
    future::{Ready, ready},
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use donjon_breaker::{BreakerLayer, State, Trip};
use donjon_core::CallError;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, service_fn};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

use crate::{
    Chart, Figure, Goal, Param, Published, Report, Scenario, Scene,
    baselines::breaker::{Circuit, Polly, Resilience4j},
    world::{Dice, play},
};

/// See the module.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "breaker",
    title: "calls until the circuit opens, and false openings",
    about: "A client calls a service 100 times a second. After a spell of 27 to 33 s without a failure all, half or 30 % of \
            the calls fail: how many calls until the circuit opens (the median of many openings; one that takes more \
            than 10,000 calls never opens). False openings are of a service of which 5 % of the calls fail, each by \
            itself. Where what a circuit does depends on a score alone, their rate is exact: the real layer is driven \
            to each score that it can have, and shown a success and a failure there; from what becomes of the score \
            follows how many calls it takes on the average until it opens. They are counted too, over 25 million calls \
            a seed through the real layer; with eight seeds that is about thirteen openings, give or take four. Each \
            opening is followed by a new circuit. The window of tower-resilience does not slide: it counts all \
            calls since its circuit was closed, so that a healthy spell has to be outweighed; a clock it asks for only \
            when it is open.",
    params: PARAMS,
    published: PUBLISHED,
    play: play_all,
    draw,
};

const PARAMS: &[Param] = &[
    Param::new("rate", 100.0, (1.0, 1000.0), "calls a second"),
    Param::new("healthy", 30.0, (0.0, 600.0), "the healthy spell, s, give or take a tenth"),
    Param::count("openings", 25, (1, 1000), "openings, of which the median is taken"),
    Param::count("calls", 25_000_000, (1000, 1_000_000_000), "calls over which false openings are counted"),
    Param::new("errors", 0.05, (0.0, 1.0), "the share that fails while nothing is wrong"),
];

const SOURCE: &str = "the same scene";
const PUBLISHED: &[Published] = &[
    Published::modelled(["consecutive 5, modelled", "calls to open, outage", ""], 5.0, SOURCE),
    Published::modelled(["consecutive 5, modelled", "calls to open, 50 % failing", ""], 37.0, SOURCE),
    Published::modelled(["consecutive 5, modelled", "calls to open, 30 % failing", ""], 489.0, SOURCE),
    Published::modelled(["Polly, modelled", "calls to open, outage", ""], 274.0, SOURCE),
    Published::modelled(["Polly, modelled", "calls to open, 50 % failing", ""], 556.0, SOURCE),
    Published::modelled(["Polly, modelled", "calls to open, 30 % failing", ""], 929.0, SOURCE),
];

#[derive(Clone, Copy, PartialEq)]
enum Policy {
    Score,
    Consecutive,
    Resilience4j,
    Polly,
    Resilience,
}

const POLICIES: &[(&str, Policy)] = &[
    ("donjon score", Policy::Score),
    ("donjon, 5 in a row", Policy::Consecutive),
    ("resilience4j", Policy::Resilience4j),
    ("Polly", Policy::Polly),
    ("tower-resilience", Policy::Resilience),
];

const NEVER: u64 = 10_000;

/// A circuit that is told outcomes: the real layer over a service that does as it is told, or a baseline. Whether it is open
/// then.
type Subject = Box<dyn FnMut(Instant, bool) -> bool>;

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
        if let Some(trip) = policy.trip() {
            let openings = 1e7 / calls_until_open(&transitions(trip), scene.get("errors"));
            figures.push(Figure::new(name, EXACT, "", openings).goal_if(ours, Goal::AtMost(1.0)));
        }
        // The share of tower-resilience is that of all calls: where 5 % fail it does not come near to half.
        if policy != Policy::Resilience {
            figures.push(Figure::new(name, COUNTED, "", false_openings(scene, policy)));
        }
    }
    figures
}

const EXACT: &str = "false openings in 10 million calls";
const COUNTED: &str = "false openings in 10 million calls, counted";

fn until_open(scene: &Scene<'_>, policy: Policy, share: f64) -> f64 {
    let seed = scene.seed;
    let pause = Duration::from_secs_f64(1.0 / scene.get("rate"));
    let (spell, openings) = (scene.get("healthy") * scene.get("rate"), scene.get("openings") as usize);
    play(seed, || async move {
        let (mut dice, mut spells) = (Dice::new(seed, 1), Dice::new(seed, 3));
        let mut counts = Vec::new();
        for _ in 0..openings {
            let mut subject = policy.subject(seed, Instant::now());
            // Windows of time are not always met at the same point.
            for _ in 0..(spell * (0.9 + 0.2 * spells.unit())) as u64 {
                subject(Instant::now(), false);
                sleep(pause).await;
            }
            let mut calls = 0;
            loop {
                calls += 1;
                if subject(Instant::now(), dice.happens(share)) {
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

/// Without a runtime: who reads the clock is told the time.
fn false_openings(scene: &Scene<'_>, policy: Policy) -> f64 {
    let (seed, calls, share) = (scene.seed, scene.get("calls") as u64, scene.get("errors"));
    let pause = Duration::from_secs_f64(1.0 / scene.get("rate"));
    let mut dice = Dice::new(seed, 2);
    let mut now = Instant::now();
    let mut subject = policy.subject(seed, now);
    let mut openings = 0;
    for _ in 0..calls {
        now += pause;
        if subject(now, dice.happens(share)) {
            openings += 1;
            subject = policy.subject(seed, now);
        }
    }
    1e7 * f64::from(openings) / calls as f64
}

// ===== a circuit that goes by a score =====

/// Of each score that the layer can have, the first of which is none: the place of what it is after a success, and after a
/// failure; none where that opens it. All of it is what the layer does.
fn transitions(trip: Trip) -> Vec<[Option<usize>; 2]> {
    // The scores that have been seen, each with outcomes that lead to it.
    let mut seen = vec![(score_after(trip, &[]).expect("a new circuit is closed"), Vec::new())];
    let mut all = Vec::new();
    while let Some((_, outcomes)) = seen.get(all.len()).cloned() {
        all.push([false, true].map(|fails| {
            let outcomes = [&*outcomes, &[fails]].concat();
            let score = score_after(trip, &outcomes)?;
            let at = seen.iter().position(|(it, _)| *it == score);
            Some(at.unwrap_or_else(|| {
                seen.push((score, outcomes));
                seen.len() - 1
            }))
        }));
    }
    all
}

fn score_after(trip: Trip, outcomes: &[bool]) -> Option<u32> {
    let breaker = BreakerLayer::new().trip(trip);
    let handle = breaker.handle();
    let mut service = breaker.layer(service_fn(does_as_told));
    outcomes.iter().for_each(|fails| call(&mut service, *fails));
    (handle.state() == State::Closed).then(|| handle.stats().score)
}

/// How many calls it takes on the average until it opens, from a score of none on.
fn calls_until_open(transitions: &[[Option<usize>; 2]], failing: f64) -> f64 {
    if failing <= 0.0 {
        return f64::INFINITY;
    }
    // calls(here) = 1 + (1 - failing) * calls(after a success) + failing * calls(after a failure); by elimination.
    let size = transitions.len();
    let mut rows: Vec<Vec<f64>> = vec![vec![0.0; size + 1]; size];
    for ((at, row), next) in rows.iter_mut().enumerate().zip(transitions) {
        (row[at], row[size]) = (1.0, 1.0);
        for (to, share) in next.iter().zip([1.0 - failing, failing]) {
            if let Some(to) = *to {
                row[to] -= share;
            }
        }
    }
    for pivot in 0..size {
        let own = rows[pivot].clone();
        for (at, row) in rows.iter_mut().enumerate() {
            if at != pivot {
                let factor = row[pivot] / own[pivot];
                row.iter_mut().zip(&own).for_each(|(cell, own)| *cell -= factor * own);
            }
        }
    }
    rows[0][size] / rows[0][0]
}

// ===== impl Policy =====

impl Policy {
    /// That of donjon's layers, which go by a score.
    fn trip(self) -> Option<Trip> {
        match self {
            Self::Score => Some(Trip::score()),
            Self::Consecutive => Some(Trip::consecutive(5)),
            Self::Resilience4j | Self::Polly | Self::Resilience => None,
        }
    }

    fn subject(self, seed: u64, now: Instant) -> Subject {
        let baseline = |mut circuit: Box<dyn Circuit>| -> Subject {
            Box::new(move |now, fails| circuit.record(now, fails, Duration::ZERO))
        };
        match self {
            Self::Score | Self::Consecutive => {
                let breaker = BreakerLayer::new().trip(self.trip().unwrap_or_default()).seed(seed);
                let handle = breaker.handle();
                let mut service = breaker.layer(service_fn(does_as_told));
                Box::new(move |_, fails| {
                    call(&mut service, fails);
                    // A success opens neither of them.
                    fails && handle.state() == State::Open
                })
            }
            Self::Resilience4j => baseline(Box::<Resilience4j>::default()),
            Self::Polly => baseline(Box::new(Polly::new(now))),
            Self::Resilience => {
                let breaker = CircuitBreakerLayer::builder().build().expect("the defaults are in their ranges");
                let mut service = breaker.layer(service_fn(does_as_told));
                Box::new(move |_, fails| {
                    call(&mut service, fails);
                    service.is_open()
                })
            }
        }
    }
}

fn does_as_told(fails: bool) -> Ready<Result<(), CallError>> {
    ready(if fails { Err(CallError::new("the service failed")) } else { Ok(()) })
}

fn call<S: Service<bool>>(service: &mut S, fails: bool) {
    let mut context = Context::from_waker(Waker::noop());
    let is_ready = service.poll_ready(&mut context).is_ready();
    assert!(is_ready, "a breaker in front of a service that is always ready is ready");
    let call = pin!(service.call(fails));
    assert!(call.poll(&mut context).is_ready(), "the service answers at once");
}

fn draw(report: &Report) -> Chart {
    let metrics =
        ["calls to open, outage", "calls to open, 50 % failing", "calls to open, 30 % failing", EXACT, COUNTED];
    Chart::bars("Breaker: calls until it opens, after some 30 s without a failure", report, &metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_opens_falsely_less_than_once_in_ten_million_calls_at_5_percent() {
        let score = transitions(Trip::score());
        let at = |failing| 1e7 / calls_until_open(&score, failing);
        assert!((at(0.05) - 0.66).abs() < 0.1, "{}", at(0.05));
        assert!((at(0.04) - 0.1).abs() < 0.02 && (at(0.06) - 3.2).abs() < 0.2, "{} {}", at(0.04), at(0.06));
        assert_eq!(at(0.0), 0.0);
    }

    #[test]
    fn so_many_failures_in_a_row_take_as_many_calls_as_is_known() {
        let five = transitions(Trip::consecutive(5));
        assert_eq!(five.len(), 5);
        // (1 - p^5) / (p^5 * (1 - p))
        let known = (1.0 - 0.5_f64.powi(5)) / (0.5_f64.powi(5) * 0.5);
        assert!((calls_until_open(&five, 0.5) - known).abs() < 1e-9);
    }
}
