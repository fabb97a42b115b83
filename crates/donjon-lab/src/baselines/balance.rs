//! Balancers: round robin, least requests, peak EWMA (Finagle, tower) and Prequal ("Load is not what you should balance",
//! NSDI 2024).
//!
//! Whom they draw at random is told from outside, so that all of them are plain state.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// One after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin {
    next: usize,
}

/// Of two drawn at random, the one with fewer requests in flight: Envoy's `LEAST_REQUEST` with its default of two choices.
#[derive(Clone, Debug)]
pub struct LeastRequests {
    in_flight: Vec<u32>,
}

/// What one endpoint costs: its round trip, which rises at once and falls slowly, times its requests in flight and one.
#[derive(Clone, Copy, Debug)]
pub struct PeakEwma {
    rtt: f64,
    updated: Instant,
    in_flight: u32,
    decay: Duration,
}

/// A pool of probes, of at most sixteen and at most a second old: by their requests in flight some are hot, and of the
/// others the fastest is chosen.
#[derive(Clone, Debug)]
pub struct Prequal {
    pool: VecDeque<Probe>,
    hot: f64,
    removes_worst: bool,
}

/// What an endpoint has said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Which endpoint.
    pub endpoint: usize,
    /// Its requests in flight.
    pub in_flight: u32,
    /// How long its requests take.
    pub latency: Duration,
    /// When it has said so.
    pub at: Instant,
}

const POOL: usize = 16;
const OLDEST: Duration = Duration::from_secs(1);

// ===== impl RoundRobin =====

impl RoundRobin {
    /// The next of so many, if there are any.
    pub fn choose(&mut self, endpoints: usize) -> Option<usize> {
        let chosen = self.next.checked_rem(endpoints)?;
        self.next = (chosen + 1) % endpoints;
        Some(chosen)
    }
}

// ===== impl LeastRequests =====

impl LeastRequests {
    /// So many endpoints, all idle.
    #[must_use]
    pub fn new(endpoints: usize) -> Self {
        Self { in_flight: vec![0; endpoints] }
    }

    /// Of these two the one with fewer in flight, the first if they are equal; it has one more now.
    pub fn choose(&mut self, one: usize, other: usize) -> usize {
        let chosen = if self.in_flight[other] < self.in_flight[one] { other } else { one };
        self.in_flight[chosen] += 1;
        chosen
    }

    /// A request has ended.
    pub fn ended(&mut self, endpoint: usize) {
        self.in_flight[endpoint] = self.in_flight[endpoint].saturating_sub(1);
    }
}

// ===== impl PeakEwma =====

impl PeakEwma {
    /// Taken to need `rtt` up to the first answer; `decay` is how long a peak is remembered.
    #[must_use]
    pub fn new(now: Instant, rtt: Duration, decay: Duration) -> Self {
        Self { rtt: rtt.as_nanos() as f64, updated: now, in_flight: 0, decay }
    }

    /// A request has begun.
    pub fn began(&mut self) {
        self.in_flight += 1;
    }

    /// A request has ended after `rtt`.
    pub fn ended(&mut self, now: Instant, rtt: Duration) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.update(now, rtt.as_nanos() as f64);
    }

    /// The cost now, in nanoseconds. Without answers it falls.
    pub fn cost(&mut self, now: Instant) -> f64 {
        self.update(now, 0.0);
        self.rtt * f64::from(self.in_flight + 1)
    }

    fn update(&mut self, now: Instant, rtt: f64) {
        if rtt > self.rtt {
            self.rtt = rtt;
        } else {
            let elapsed = now.saturating_duration_since(self.updated);
            let weight = (-elapsed.as_secs_f64() / self.decay.as_secs_f64()).exp();
            self.rtt = self.rtt * weight + rtt * (1.0 - weight);
        }
        self.updated = now;
    }
}

// ===== impl Prequal =====

impl Prequal {
    /// Those above this quantile of the pool's requests in flight are hot: 2^-0.25 in the paper.
    #[must_use]
    pub fn new(quantile: f64) -> Self {
        Self { pool: VecDeque::new(), hot: quantile.clamp(0.0, 1.0), removes_worst: false }
    }

    /// An endpoint has answered a probe. The oldest of a full pool goes.
    pub fn probed(&mut self, probe: Probe) {
        if self.pool.len() == POOL {
            self.pool.pop_front();
        }
        self.pool.push_back(probe);
    }

    /// How many probes there are.
    #[must_use]
    pub fn probes(&self) -> usize {
        self.pool.len()
    }

    /// The fastest of the cold, or that with the fewest in flight if all are hot; `None` without a probe of the last second.
    /// It has one more in flight from now on. And one probe is given up: the oldest and the worst in turns.
    pub fn choose(&mut self, now: Instant) -> Option<usize> {
        self.pool.retain(|probe| now.saturating_duration_since(probe.at) < OLDEST);
        let limit = self.limit()?;
        let cold = self.pool.iter().filter(|probe| probe.in_flight <= limit).min_by_key(|probe| probe.latency);
        let chosen = cold.or_else(|| self.pool.iter().min_by_key(|probe| probe.in_flight))?.endpoint;
        self.pool.iter_mut().filter(|probe| probe.endpoint == chosen).for_each(|probe| probe.in_flight += 1);
        self.give_one_up(limit);
        Some(chosen)
    }

    /// The most requests in flight that are not hot yet.
    fn limit(&self) -> Option<u32> {
        let mut in_flight: Vec<_> = self.pool.iter().map(|probe| probe.in_flight).collect();
        in_flight.sort_unstable();
        let last = in_flight.len().checked_sub(1)?;
        in_flight.get((last as f64 * self.hot) as usize).copied()
    }

    /// The worst is that with the most in flight if any is hot, and the slowest otherwise.
    fn give_one_up(&mut self, limit: u32) {
        self.removes_worst = !self.removes_worst;
        let numbered = self.pool.iter().enumerate();
        let gone = if !self.removes_worst {
            Some(0)
        } else if self.pool.iter().any(|probe| probe.in_flight > limit) {
            numbered.max_by_key(|(_, probe)| probe.in_flight).map(|(at, _)| at)
        } else {
            numbered.max_by_key(|(_, probe)| probe.latency).map(|(at, _)| at)
        };
        if let Some(at) = gone {
            self.pool.remove(at);
        }
    }
}
