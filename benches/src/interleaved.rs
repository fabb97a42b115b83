//! Measurement in turns: every subject is measured in every round, so that a slow moment of the machine falls on all of
//! them alike, and each figure is the median of its rounds. Compare only figures of one run.

use std::{fmt::Debug, future::poll_fn, hint::black_box, time::Instant};

use tokio::runtime::Runtime;
use tower::Service;

/// What is measured, by name: runs a round, and says how long one call took.
pub struct Subject {
    name: String,
    round: Box<dyn FnMut() -> f64>,
    rounds: Vec<f64>,
}

/// Tasks that share one layer.
const TASKS: u64 = 32;

/// The machine's time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's time")]
pub fn now() -> Instant {
    Instant::now()
}

fn nanos_each(started: Instant, calls: u64) -> f64 {
    started.elapsed().as_secs_f64() * 1e9 / calls as f64
}

async fn calls<S>(mut service: S, count: u64)
where
    S: Service<u64>,
    S::Error: Debug,
{
    for n in 0..count {
        poll_fn(|cx| service.poll_ready(cx)).await.expect("the service is ready");
        black_box(service.call(black_box(n)).await.ok());
    }
}

impl Subject {
    /// One caller on one thread.
    pub fn alone<S>(name: &str, service: S) -> Self
    where
        S: Service<u64> + Clone + 'static,
        S::Error: Debug,
    {
        const CALLS: u64 = 20_000;
        let runtime = runtime(0);
        let round = move || {
            let started = now();
            runtime.block_on(calls(service.clone(), CALLS));
            nanos_each(started, CALLS)
        };
        Self { name: name.to_owned(), round: Box::new(round), rounds: Vec::new() }
    }

    /// Thirty-two tasks that share the layer, on this many worker threads: wall time over calls.
    pub fn shared<S>(name: &str, workers: usize, service: S) -> Self
    where
        S: Service<u64> + Clone + Send + 'static,
        S::Response: Send,
        S::Error: Debug + Send,
        S::Future: Send,
    {
        const CALLS: u64 = 2_000;
        let runtime = runtime(workers);
        let round = move || {
            let started = now();
            runtime.block_on(async {
                let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(calls(service.clone(), CALLS))).collect();
                for task in tasks {
                    task.await.expect("no task panics");
                }
            });
            nanos_each(started, TASKS * CALLS)
        };
        Self { name: name.to_owned(), round: Box::new(round), rounds: Vec::new() }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The median of the rounds so far, in nanoseconds.
    #[must_use]
    pub fn nanos(&self) -> f64 {
        let mut rounds = self.rounds.clone();
        rounds.sort_unstable_by(f64::total_cmp);
        rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Measures all of them in turns, this many rounds after three to warm up.
pub fn measure(subjects: &mut [Subject], rounds: usize) {
    for round in 0..rounds + 3 {
        for subject in subjects.iter_mut() {
            let took = (subject.round)();
            if round >= 3 {
                subject.rounds.push(took);
            }
        }
    }
}

fn runtime(workers: usize) -> Runtime {
    let mut builder = match workers {
        0 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if workers > 0 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build().expect("a runtime")
}
