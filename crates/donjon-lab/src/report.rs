use std::{
    panic,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::{Cast, Figure, Goal, Published, Scenario, Scene, Settings};

/// What came of a scenario: the mean of each figure over all seeds.
#[derive(Clone, Debug)]
pub struct Report {
    /// The [`Scenario::name`].
    pub scenario: &'static str,
    /// The first seed.
    pub seed: u64,
    /// How many seeds, one after the other.
    pub runs: u32,
    /// In the order in which the scene measures them.
    pub rows: Vec<Row>,
    /// What was not measured here.
    pub published: &'static [Published],
}

/// One number of one policy: the mean over all seeds.
#[derive(Clone, Debug)]
pub struct Row {
    /// The mean; not a number if one of the seeds never got there.
    pub mean: Figure,
    /// The least of the seeds.
    pub least: f64,
    /// The most of the seeds; not a number if one of them never got there.
    pub most: f64,
}

/// Plays the scene with `runs` seeds from `seed` on, on as many threads as there are processors; each run is of one
/// thread alone. `done` is told after each.
///
/// # Panics
///
/// If `runs` is 0, or the scene panics.
#[must_use]
pub fn measure(scenario: &Scenario, settings: &Settings, seed: u64, runs: u32, done: &(dyn Fn() + Sync)) -> Report {
    measure_cast(scenario, settings, Cast::All, seed, runs, done)
}

pub(crate) fn measure_cast(
    scenario: &Scenario,
    settings: &Settings,
    cast: Cast,
    seed: u64,
    runs: u32,
    done: &(dyn Fn() + Sync),
) -> Report {
    assert!(runs > 0, "a mean of nothing");
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(runs as usize);
    let mut played: Vec<(usize, Vec<Figure>)> = thread::scope(|scope| {
        let work = || {
            let mut mine = Vec::new();
            loop {
                let run = next.fetch_add(1, Ordering::Relaxed);
                if run >= runs as usize {
                    return mine;
                }
                let seed = seed.wrapping_add(run as u64);
                mine.push((run, (scenario.play)(&Scene { seed, settings, cast })));
                done();
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|it| it.join().unwrap_or_else(|cause| panic::resume_unwind(cause))).collect()
    });
    played.sort_by_key(|(run, _)| *run);
    let played: Vec<_> = played.into_iter().map(|(_, figures)| figures).collect();
    let rows = (0..played[0].len()).map(|at| Row::of(played.iter().map(|figures| &figures[at]))).collect();
    Report { scenario: scenario.name, seed, runs, rows, published: scenario.published }
}

// ===== impl Row =====

impl Row {
    fn of<'a>(figures: impl Iterator<Item = &'a Figure> + Clone) -> Self {
        let first = figures.clone().next().expect("there is at least one run");
        let same = figures.clone().all(|it| it.policy == first.policy && it.metric == first.metric);
        assert!(same, "each run of a scene measures the same things in the same order");
        let values = || figures.clone().map(|figure| figure.value);
        let mean = values().sum::<f64>() / values().count() as f64;
        Self {
            mean: Figure { value: mean, ..first.clone() },
            least: values().fold(f64::NAN, f64::min),
            most: if mean.is_nan() { mean } else { values().fold(mean, f64::max) },
        }
    }

    /// Whether it reaches its goal; none if it has none.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        self.mean.goal.map(|goal| goal.is_met(self.mean.value))
    }
}

// ===== impl Report =====

impl Report {
    /// The figure of this policy and metric, measured here or not.
    #[must_use]
    pub fn value(&self, policy: &str, metric: &str) -> Option<f64> {
        let measured = self.rows.iter().map(|row| (&*row.mean.policy, &*row.mean.metric, row.mean.value));
        let published = self.published.iter().map(|it| (it.policy, it.metric, it.value));
        measured.chain(published).find(|&(p, m, _)| p == policy && m == metric).map(|(_, _, value)| value)
    }

    /// The policies that have this metric, in the order of the table.
    #[must_use]
    pub fn policies(&self, metric: &str) -> Vec<&str> {
        let measured = self.rows.iter().map(|row| (&*row.mean.policy, &*row.mean.metric));
        let published = self.published.iter().map(|it| (it.policy, it.metric));
        measured.chain(published).filter(|&(_, m)| m == metric).map(|(policy, _)| policy).collect()
    }

    /// A list of `{scenario, policy, metric, unit, value, goal, seed}`. What was not measured here has no seed; a value that
    /// is no number, since a policy never got there, is the string `never`.
    #[must_use]
    pub fn json(&self) -> Value {
        let row = |policy: &str, metric: &str, unit: &str, value: f64, goal: Option<Goal>, seed: Option<u64>| {
            json!({
                "scenario": self.scenario, "policy": policy, "metric": metric, "unit": unit,
                "value": if value.is_nan() { json!("never") } else { json!(value) }, "goal": goal.map(|goal| goal.to_string()), "seed": seed,
            })
        };
        let measured = self
            .rows
            .iter()
            .map(|Row { mean: it, .. }| row(&it.policy, &it.metric, it.unit, it.value, it.goal, Some(self.seed)));
        let published = self.published.iter().map(|it| row(it.policy, it.metric, it.unit, it.value, None, None));
        Value::Array(measured.chain(published).collect())
    }
}
