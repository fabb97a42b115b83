//! More arrives than can be served: who is served in time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::CallError;
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_resilience_bulkhead::{BulkheadLayer, BulkheadServiceError};

use crate::{
    Chart, Figure, Goal, Param, Published, Report, Scenario, Scene,
    baselines::codel::Codel,
    world::{Ask, Client, Dice, Discipline, Line, arrivals, client, play},
};

/// See the module.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "queue-burst",
    title: "who is served in time when more arrives than can be served",
    about: "Ten workers take 10 ms a call, exponentially distributed, so 1,000 calls a second; 1,300 arrive, at random. \
            An answer is useful if it comes within the client's timeout of 5, 20 or 50 service times. The server does not see a client leave, and what \
            it answers too late is wasted; in the last metric it sees, and what it does for that client ends. \
            donjon's two-lane queue is told how long a call takes on the average, and its times follow from that; in two \
            rows it is told half of it and double. CoDel and adaptive LIFO have the times that their authors gave \
            them, whatever a call takes. The bulkhead of tower-resilience lets a call wait for as long as a call \
            takes, which of none, one, two and five times that is the best for it at 50 ms, or not at all.",
    params: PARAMS,
    published: PUBLISHED,
    play: play_all,
    draw,
};

const PARAMS: &[Param] = &[
    Param::new("rate", 1300.0, (1.0, 10_000.0), "arrivals a second"),
    Param::count("workers", 10, (1, 1000), "calls served at once"),
    Param::new("service", 10.0, (1.0, 1000.0), "mean time of a call, ms"),
    Param::new("seconds", 120.0, (1.0, 600.0), "how long, s"),
];

const MODEL: &str = "the same scene";
const PUBLISHED: &[Published] = &[
    Published::modelled(["CoDel, modelled", "useful at 50 ms", "/s"], 890.0, MODEL),
    Published::modelled(["CoDel, modelled", "useful at 200 ms", "/s"], 994.0, MODEL),
    Published::modelled(["CoDel, modelled", "useful at 500 ms", "/s"], 994.0, MODEL),
    Published::modelled(["adaptive LIFO, modelled", "useful at 50 ms", "/s"], 974.0, MODEL),
    Published::modelled(["adaptive LIFO, modelled", "useful at 200 ms", "/s"], 999.0, MODEL),
    Published::modelled(["adaptive LIFO, modelled", "useful at 500 ms", "/s"], 999.0, MODEL),
];

#[derive(Clone, Copy, PartialEq)]
enum Policy {
    /// Told this many times what a call takes.
    TwoLane(f64),
    Fifo,
    Shed,
    Tower,
    TowerShed,
    /// Lets a call wait for so many times what a call takes.
    Bulkhead(f64),
    Codel,
    AdaptiveLifo,
}

const POLICIES: &[Policy] = &[
    Policy::TwoLane(1.0),
    Policy::TwoLane(0.5),
    Policy::TwoLane(2.0),
    Policy::Fifo,
    Policy::Shed,
    Policy::Tower,
    Policy::TowerShed,
    Policy::Bulkhead(1.0),
    Policy::Bulkhead(0.0),
    Policy::Codel,
    Policy::AdaptiveLifo,
];

/// The client's timeout in service times, with the goals for useful answers as a share of what can be served.
const TIMEOUTS: [(f64, f64); 3] = [(5.0, 0.98), (20.0, 0.99), (50.0, 0.99)];

fn play_all(scene: &Scene<'_>) -> Vec<Figure> {
    let service = scene.get("service");
    let capacity = scene.get("workers") * 1000.0 / service;
    let mut figures = Vec::new();
    for &policy in POLICIES {
        let (name, ours) = (policy.name(), policy == Policy::TwoLane(1.0));
        if !scene.plays(ours) {
            continue;
        }
        let kept = one(scene, policy, None);
        for (times, share) in TIMEOUTS {
            let millis = times * service;
            let (useful, wasted) = kept.within(Duration::from_secs_f64(millis / 1000.0));
            let goal = Goal::AtLeast((share * capacity).round());
            figures.push(Figure::new(name, format!("useful at {millis} ms"), "/s", useful).goal_if(ours, goal));
            let goal = Goal::AtMost(1.3);
            figures.push(Figure::new(name, format!("wasted at {millis} ms"), "%", wasted).goal_if(ours, goal));
        }
        let millis = TIMEOUTS[0].0 * service;
        let most = Duration::from_secs_f64(millis / 1000.0);
        let (useful, _) = one(scene, policy, Some(most)).within(most);
        let goal = Goal::AtLeast((0.99 * capacity).round());
        let metric = format!("useful at {millis} ms, leaving stops the work");
        figures.push(Figure::new(name, metric, "/s", useful).goal_if(ours, goal));
    }
    figures
}

/// How long each answer took.
struct Answers {
    after: Vec<Duration>,
    seconds: f64,
}

fn one(scene: &Scene<'_>, policy: Policy, leaves_after: Option<Duration>) -> Answers {
    let seed = scene.seed;
    let (rate, seconds, service) = (scene.get("rate"), scene.get("seconds"), scene.get("service"));
    let workers = scene.get("workers") as usize;
    play(seed, || async move {
        let busiest = Arc::new(AtomicU64::new(0));
        let stack = policy.wrap(server(seed, service, Arc::clone(&busiest)), workers, service);
        let answers = Arc::new(Mutex::new(Vec::new()));
        let mut dice = Dice::new(seed, 1);
        arrivals(rate, seconds, &mut dice, |id| {
            let (stack, answers) = (stack.clone(), Arc::clone(&answers));
            let arrived = Instant::now();
            tokio::spawn(async move {
                let call = stack.oneshot(Ask::new(id));
                let done = match leaves_after {
                    Some(most) => timeout(most, call).await.is_ok_and(|result| result.is_ok()),
                    None => call.await.is_ok(),
                };
                if done {
                    answers.lock().expect("nobody panics under this lock").push(arrived.elapsed());
                }
            });
        })
        .await;
        assert!(busiest.load(Ordering::Relaxed) <= workers as u64, "the workers are as many as there are");
        // What still waits is answered after the end, and is not counted.
        let after = std::mem::take(&mut *answers.lock().expect("nobody panics under this lock"));
        Answers { after, seconds }
    })
}

/// Workers without a bound of their own; the most that were at it at once.
fn server(seed: u64, service: f64, busiest: Arc<AtomicU64>) -> Client {
    struct Busy(Arc<AtomicU64>);
    impl Drop for Busy {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let now = Arc::new(AtomicU64::new(0));
    client(service_fn(move |ask: Ask| {
        let (now, busiest) = (Arc::clone(&now), Arc::clone(&busiest));
        async move {
            busiest.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            let _busy = Busy(now);
            let mut dice = Dice::of_event(seed, ask.id, 0);
            let millis = dice.exponential(service);
            sleep(dice.millis(millis)).await;
            Ok(())
        }
    }))
}

// ===== impl Answers =====

impl Answers {
    /// Useful answers a second, and the share of all answers that were not, in percent.
    fn within(&self, most: Duration) -> (f64, f64) {
        let useful = self.after.iter().filter(|after| **after <= most).count() as f64;
        let all = self.after.len().max(1) as f64;
        (useful / self.seconds, 100.0 * (all - useful) / all)
    }
}

// ===== impl Policy =====

impl Policy {
    fn name(self) -> &'static str {
        match self {
            Self::TwoLane(told) if told < 1.0 => "donjon two-lane, told half",
            Self::TwoLane(told) if told > 1.0 => "donjon two-lane, told double",
            Self::TwoLane(_) => "donjon two-lane",
            Self::Fifo => "donjon FIFO, as it is",
            Self::Shed => "donjon, no queue",
            Self::Tower => "tower ConcurrencyLimit",
            Self::TowerShed => "tower LoadShed + limit",
            Self::Bulkhead(0.0) => "tower-resilience, no wait",
            Self::Bulkhead(_) => "tower-resilience Bulkhead",
            Self::Codel => "CoDel (folly)",
            Self::AdaptiveLifo => "adaptive LIFO (Facebook)",
        }
    }

    fn wrap(self, inner: Client, workers: usize, service: f64) -> Client {
        let limit = ConcurrencyLimitLayer::new(workers);
        let millis = Duration::from_millis;
        let times = |share: f64| Duration::from_secs_f64(share * service / 1000.0);
        match self {
            // A queue so long that only its rules bound it.
            Self::TwoLane(told) => client(limit.queue(100_000).two_lane(times(told)).layer(inner)),
            Self::Fifo => client(limit.layer(inner)),
            Self::Shed => client(limit.queue(0).layer(inner)),
            Self::Tower => client(ServiceBuilder::new().concurrency_limit(workers).service(inner)),
            Self::TowerShed => {
                let stack = ServiceBuilder::new().load_shed().concurrency_limit(workers).service(inner);
                client(stack.map_err(CallError::new))
            }
            Self::Bulkhead(wait) => {
                let bulkhead = BulkheadLayer::builder().max_concurrent_calls(workers).max_wait_duration(times(wait));
                let layer = bulkhead.build().expect("there is at least one worker");
                client(layer.layer(inner).map_err(|error| match error {
                    BulkheadServiceError::Inner(error) => error,
                    BulkheadServiceError::Bulkhead(refused) => CallError::from(refused),
                }))
            }
            Self::Codel => {
                let codel = Codel::new(Instant::now(), millis(5), millis(100));
                Line::new(workers, Discipline::Codel(codel)).before(inner)
            }
            Self::AdaptiveLifo => {
                let (standing, longest) = (millis(100), millis(1000));
                Line::new(workers, Discipline::AdaptiveLifo { standing, longest }).before(inner)
            }
        }
    }
}

fn draw(report: &Report) -> Chart {
    let metrics = ["useful at 50 ms", "useful at 200 ms", "wasted at 50 ms", "useful at 50 ms, leaving stops the work"];
    Chart::bars("Queue burst: 1,300 calls a second for a server of 1,000", report, &metrics)
}
