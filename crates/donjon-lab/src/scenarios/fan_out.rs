//! One answer made of a hundred: the slowest of them decides.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use donjon_core::CallError;
use donjon_fanout::FanOutExt;
use donjon_hedge::{Delay, HedgeLayer, Standard};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, hedge, service_fn};

use crate::{
    Chart, Figure, Goal, Param, Published, Report, Scenario, Scene,
    world::{Ask, Client, Dice, client, play},
};

/// See the module.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "fan-out",
    title: "the slowest of a hundred calls, with and without a second copy of those that are late",
    about: "The scene of \"The Tail at Scale\" (Dean and Barroso, 2013): an answer needs a hundred leaves. How long a leaf \
            takes: 2 % take longer than 10 ms, 0.3 % than 69 ms, one in 100,000 than 1.8 s (straight lines between these \
            points on logarithmic axes, from 1 ms on). Then every leaf becomes ten times slower. What is measured begins, \
            both times, when the layers have had some answers to learn from, and at least 4 s of them: that is twice \
            the period of tower's hedge, which learns from the period before. It has to be told its period, and is told \
            2 s. The hedge of tower-resilience is told its delay and learns nothing; neither has a budget. \
            The clock runs ten times slower than the scene says, since timers count whole milliseconds.",
    params: PARAMS,
    published: PUBLISHED,
    play: play_all,
    draw,
};

const PARAMS: &[Param] = &[
    Param::count("leaves", 100, (1, 1000), "calls for one answer"),
    Param::count("answers", 2000, (10, 1_000_000), "answers measured"),
    Param::count("warm-up", 400, (0, 1_000_000), "answers before that, at least"),
    Param::new("slower", 10.0, (0.1, 100.0), "how many times slower each leaf becomes"),
];

const SOURCE: &str = "The Tail at Scale, CACM 56(2), 2013 (BigTable reads, hedged after 10 ms)";
const PUBLISHED: &[Published] = &[
    Published::new(["not hedged, published", "p99.9", "ms"], 1800.0, SOURCE),
    Published::new(["hedged at 10 ms, published", "p99.9", "ms"], 74.0, SOURCE),
    Published::new(["hedged at 10 ms, published", "extra calls", "%"], 2.0, SOURCE),
];

/// Milliseconds, and the share of the leaves that takes longer.
const KNOTS: [(f64, f64); 4] = [(1.0, 1.0), (10.0, 2e-2), (69.0, 0.003_162_277_660_168_379_5), (1800.0, 1e-5)];

/// Over how long tower's hedge gathers what it then goes by.
const PERIOD: Duration = Duration::from_secs(2);

/// Scene time is this many times faster than the clock.
const SLOWED: f64 = 10.0;

#[derive(Clone, Copy, PartialEq)]
enum Policy {
    Learned,
    Fixed,
    Percentile,
    None,
    Tower,
    Resilience,
}

const POLICIES: &[(&str, Policy)] = &[
    ("donjon learned", Policy::Learned),
    ("donjon fixed 10 ms", Policy::Fixed),
    ("donjon 98th percentile", Policy::Percentile),
    ("not hedged", Policy::None),
    ("tower Hedge 98th percentile", Policy::Tower),
    ("tower-resilience Hedge 10 ms", Policy::Resilience),
];

struct Measured {
    p99: f64,
    p999: f64,
    extra: f64,
}

fn play_all(scene: &Scene<'_>) -> Vec<Figure> {
    let mut figures = Vec::new();
    for &(name, policy) in POLICIES {
        let ours = policy == Policy::Learned;
        if !scene.plays(ours) {
            continue;
        }
        let [normal, slower] = one(scene, policy);
        figures.push(Figure::new(name, "p99", "ms", normal.p99));
        figures.push(Figure::new(name, "p99.9", "ms", normal.p999).goal_if(ours, Goal::AtMost(25.0)));
        figures.push(Figure::new(name, "extra calls", "%", normal.extra).goal_if(ours, Goal::AtMost(2.0)));
        figures.push(Figure::new(name, "p99, all slower", "ms", slower.p99));
        figures.push(Figure::new(name, "p99.9, all slower", "ms", slower.p999).goal_if(ours, Goal::AtMost(260.0)));
        figures.push(Figure::new(name, "extra calls, all slower", "%", slower.extra).goal_if(ours, Goal::AtMost(2.0)));
    }
    figures
}

fn one(scene: &Scene<'_>, policy: Policy) -> [Measured; 2] {
    let seed = scene.seed;
    let (leaves, answers, warm_up) = (scene.get("leaves") as u64, scene.get("answers"), scene.get("warm-up"));
    let slower = scene.get("slower");
    play(seed, || async move {
        let sent = Arc::new(AtomicU64::new(0));
        let factor = Arc::new(Mutex::new(1.0));
        let stack = policy.wrap(leaf(seed, Arc::clone(&factor), Arc::clone(&sent)));
        let answer = async |number: u64| {
            let began = Instant::now();
            let asks = (0..leaves).map(|leaf| (leaf, Ask::new(number * leaves + leaf)));
            let all: Vec<_> = stack.fan_out(asks).at_once(leaves as usize).collect().await;
            assert!(all.iter().all(|(_, it)| it.is_ok()), "no leaf fails");
            began.elapsed().as_secs_f64() * 1000.0 / SLOWED
        };

        let mut number = 0;
        let mut measured = Vec::new();
        for times in [1.0, slower] {
            *factor.lock().expect("nobody panics under this lock") = times;
            let (since, first) = (Instant::now(), number);
            while number - first < warm_up as u64 || since.elapsed() < 2 * PERIOD.mul_f64(SLOWED) {
                answer(number).await;
                number += 1;
            }
            let before = sent.load(Ordering::Relaxed);
            let mut took = Vec::new();
            for _ in 0..answers as u64 {
                took.push(answer(number).await);
                number += 1;
            }
            let calls = took.len() as f64 * leaves as f64;
            let extra = (sent.load(Ordering::Relaxed) - before) as f64 - calls;
            took.sort_by(f64::total_cmp);
            let quantile = |share: f64| took[((took.len() as f64 * share) as usize).min(took.len() - 1)];
            measured.push(Measured { p99: quantile(0.99), p999: quantile(0.999), extra: 100.0 * extra / calls });
        }
        measured.try_into().unwrap_or_else(|_| unreachable!("two phases, two measurements"))
    })
}

fn leaf(seed: u64, factor: Arc<Mutex<f64>>, sent: Arc<AtomicU64>) -> Client {
    client(service_fn(move |ask: Ask| {
        sent.fetch_add(1, Ordering::Relaxed);
        let mut dice = Dice::of_event(seed, ask.id, ask.arrive());
        let times = *factor.lock().expect("nobody panics under this lock");
        let millis = times * SLOWED * takes(1.0 - dice.unit());
        let time = dice.millis(millis);
        async move {
            sleep(time).await;
            Ok::<_, CallError>(())
        }
    }))
}

/// How long the leaf takes that is slower than all but this share of them; more than 0.
fn takes(share: f64) -> f64 {
    let last = KNOTS.len() - 2;
    let at = (0..last).find(|at| share >= KNOTS[at + 1].1).unwrap_or(last);
    let ((fast, more), (slow, less)) = (KNOTS[at], KNOTS[at + 1]);
    let along = (more.ln() - share.ln()) / (more.ln() - less.ln());
    (fast.ln() + along * (slow.ln() - fast.ln())).exp()
}

/// Every request may be sent twice.
#[derive(Clone, Copy, Debug)]
struct Twice;

impl hedge::Policy<Ask> for Twice {
    fn can_retry(&self, _: &Ask) -> bool {
        true
    }

    fn clone_request(&self, ask: &Ask) -> Option<Ask> {
        Some(ask.clone())
    }
}

// ===== impl Policy =====

impl Policy {
    fn wrap(self, inner: Client) -> Client {
        let hedge = HedgeLayer::new(Standard::new());
        let fixed = Duration::from_secs_f64(10.0 * SLOWED / 1000.0);
        match self {
            Self::Learned => client(hedge.layer(inner)),
            Self::Fixed => client(hedge.delay(Delay::fixed(fixed)).layer(inner)),
            Self::Percentile => {
                let share = donjon_core::Ratio::new(0.98).expect("0.98 is from 0 to 1");
                client(hedge.delay(Delay::percentile(share)).layer(inner))
            }
            Self::None => inner,
            Self::Tower => {
                let period = PERIOD.mul_f64(SLOWED);
                // It is not `Clone`, and one of it has to see all calls: all take turns to make theirs.
                let hedge = Arc::new(tokio::sync::Mutex::new(hedge::Hedge::new(inner, Twice, 100, 0.98, period)));
                client(service_fn(move |ask: Ask| {
                    let hedge = Arc::clone(&hedge);
                    async move {
                        let call = hedge.lock().await.ready().await.map_err(CallError::new)?.call(ask);
                        call.await.map_err(CallError::new)
                    }
                }))
            }
            Self::Resilience => {
                // It asks for errors that can be cloned, which boxed ones cannot.
                let inner = inner.map_err(|error: CallError| error.to_string());
                client(tower_resilience_hedge::HedgeLayer::new(fixed).layer(inner).map_err(CallError::from))
            }
        }
    }
}

fn draw(report: &Report) -> Chart {
    let metrics = ["p99.9", "p99.9, all slower", "extra calls", "extra calls, all slower"];
    Chart::bars("Fan-out of a hundred (The Tail at Scale): the slowest leaf decides", report, &metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_take_what_the_knots_say() {
        for (millis, share) in KNOTS {
            assert!((takes(share) / millis - 1.0).abs() < 1e-9, "{share}: {}", takes(share));
        }
        assert!(takes(1e-6) > 1800.0 && takes(0.5) < 10.0);
    }
}
