//! A service that stands still for ten seconds, and clients that try again: when is it as good as before?
//!
//! What waits at the service when the outage ends is older than anybody waits for. As long as it is served in its order,
//! all work is for callers that have gone, and each of them that tries again adds to it: with retries and no budget the
//! storm feeds itself, and never ends. A budget alone takes the retries away and not the queue, so it is as good as no
//! retries. A limit at the server that serves who came last, and drops what is too old, ends it at once.
//!
//! A breaker alone does not come back either. Those that it refuses are all told the same time to try again, and do: what
//! comes when it closes is more than the service can do, and it opens again.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use donjon_breaker::BreakerLayer;
use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::CallError;
use donjon_retry::{Budget, RetryLayer, Standard};
use donjon_timeout::TimeoutLayer;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, sleep_until},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    Chart, Figure, Param, Report, Scenario, Scene,
    world::{Ask, Client, Dice, arrivals, client, play},
};

/// See the module.
pub(super) const SCENARIO: Scenario = Scenario {
    name: "retry-storm",
    title: "how long after an outage of 10 s the answers are back",
    about: "A service of 500 calls a second (5 workers, 10 ms) is asked 400 times a second, and stands still from second 10 \
            to 20. Clients wait 200 ms for an attempt and make up to four; the service does not see that they have gone, \
            and works on what waits, in its order. It is back when of the calls made in a second 95 % are answered, for \
            three seconds in a row; never means not within the minute after the outage that the scene goes on for.",
    params: PARAMS,
    published: &[],
    play: play_all,
    draw,
};

const PARAMS: &[Param] = &[
    Param::new("load", 80.0, (1.0, 200.0), "calls, in percent of what can be served"),
    Param::count("workers", 5, (1, 1000), "calls served at once"),
    Param::new("service", 10.0, (1.0, 1000.0), "mean time of a call, ms"),
    Param::new("outage", 10.0, (0.0, 60.0), "how long it stands still, s"),
    Param::new("timeout", 200.0, (1.0, 10_000.0), "how long a client waits for an attempt, ms"),
    Param::count("attempts", 4, (1, 10), "attempts a call"),
    Param::new("after", 60.0, (5.0, 600.0), "how long the scene goes on after the outage, s"),
];

/// When the outage begins, s.
const BEFORE: f64 = 10.0;

#[derive(Clone, Copy, PartialEq)]
enum Policy {
    Stack,
    Budget,
    Breaker,
    Limit,
    Storm,
    NoRetry,
}

const POLICIES: &[(&str, Policy)] = &[
    ("donjon budget, breaker, limit", Policy::Stack),
    ("donjon budget alone", Policy::Budget),
    ("donjon breaker alone", Policy::Breaker),
    ("donjon server limit alone", Policy::Limit),
    ("retries without a budget", Policy::Storm),
    ("no retry", Policy::NoRetry),
];

fn play_all(scene: &Scene<'_>) -> Vec<Figure> {
    let mut figures = Vec::new();
    for &(name, policy) in POLICIES {
        let seconds = one(scene, policy);
        let share = |it: &(u64, u64)| it.1 as f64 / it.0.max(1) as f64;
        let over = (BEFORE + scene.get("outage")) as usize;
        let after = &seconds[over.min(seconds.len())..];
        let back = after.windows(3).position(|three| three.iter().all(|it| share(it) >= 0.95));
        let back = back.map_or(f64::NAN, |second| second as f64);
        figures.push(Figure::new(name, "time until the answers are back", "s", back));
        let (calls, answered) = after.iter().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        figures.push(Figure::new(name, "answered after the outage", "%", 100.0 * share(&(calls, answered))));
    }
    figures
}

/// Of each second: calls made in it, and how many of them were answered.
fn one(scene: &Scene<'_>, policy: Policy) -> Vec<(u64, u64)> {
    let seed = scene.seed;
    let (workers, service) = (scene.get("workers") as usize, scene.get("service"));
    let rate = scene.get("load") / 100.0 * workers as f64 * 1000.0 / service;
    let (outage, length) = (scene.get("outage"), BEFORE + scene.get("outage") + scene.get("after"));
    let (attempts, patience) = (scene.get("attempts") as u32, Duration::from_secs_f64(scene.get("timeout") / 1000.0));
    play(seed, || async move {
        let start = Instant::now();
        let down = start + Duration::from_secs_f64(BEFORE);
        let mut stack = server(seed, workers, service, (down, down + Duration::from_secs_f64(outage)), policy);
        stack = client(TimeoutLayer::new(patience).layer(stack));
        if matches!(policy, Policy::Stack | Policy::Breaker) {
            stack = client(BreakerLayer::new().seed(seed).layer(stack));
        }
        let retry = RetryLayer::new(Standard::new()).max_attempts(attempts).seed(seed);
        stack = match policy {
            Policy::Stack | Policy::Budget => client(retry.layer(stack)),
            Policy::Breaker | Policy::Limit | Policy::Storm => client(retry.budget(Budget::unlimited()).layer(stack)),
            Policy::NoRetry => stack,
        };

        let seconds = Arc::new(Mutex::new(vec![(0, 0); length.ceil() as usize]));
        let mut dice = Dice::new(seed, 1);
        arrivals(rate, length, &mut dice, |id| {
            let (stack, seconds) = (stack.clone(), Arc::clone(&seconds));
            let second = start.elapsed().as_secs() as usize;
            tokio::spawn(async move {
                let answered = stack.oneshot(Ask::new(id)).await.is_ok();
                let mut seconds = seconds.lock().expect("nobody panics under this lock");
                if let Some(it) = seconds.get_mut(second) {
                    *it = (it.0 + 1, it.1 + u64::from(answered));
                }
            });
        })
        .await;
        sleep(Duration::from_secs(5)).await;
        let mut seconds = seconds.lock().expect("nobody panics under this lock");
        std::mem::take(&mut *seconds)
    })
}

/// Workers and a queue in order of arrival, in tasks of their own: a caller that leaves changes nothing.
fn server(seed: u64, workers: usize, service: f64, down: (Instant, Instant), policy: Policy) -> Client {
    let places = Arc::new(Semaphore::new(workers));
    let work = client(service_fn(move |ask: Ask| {
        let places = Arc::clone(&places);
        async move {
            let _place = places.acquire().await.map_err(CallError::from)?;
            let mut dice = Dice::of_event(seed, ask.id, ask.arrive());
            let millis = dice.exponential(service);
            let now = Instant::now();
            if now >= down.0 && now < down.1 {
                sleep_until(down.1).await;
            }
            sleep(dice.millis(millis)).await;
            Ok(())
        }
    }));
    let limit = ConcurrencyLimitLayer::new(workers);
    let work = match policy {
        Policy::Stack | Policy::Limit => {
            let millis = Duration::from_secs_f64(service / 1000.0);
            client(limit.queue(100_000).two_lane(millis).layer(work))
        }
        _ => work,
    };
    client(service_fn(move |ask: Ask| {
        let task = tokio::spawn(work.clone().oneshot(ask));
        async move { task.await.map_err(CallError::from)? }
    }))
}

fn draw(report: &Report) -> Chart {
    let metrics = ["time until the answers are back", "answered after the outage"];
    Chart::bars("Retry storm: an outage of 10 s at 80 % load", report, &metrics)
}
