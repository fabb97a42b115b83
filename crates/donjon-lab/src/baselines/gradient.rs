//! Envoy's adaptive concurrency: the gradient controller.

use std::{mem, time::Duration};

use tokio::time::Instant;

use super::formulas::envoy_gradient;

/// Measures the shortest round trip with few calls in flight, then moves the limit by how much longer calls take.
///
/// Defaults of Envoy: at least 3 in flight, at most 1,000, the median of a window, 50 calls for the shortest round trip.
#[derive(Clone, Debug)]
pub struct EnvoyGradient {
    limit: f64,
    buffer: f64,
    calls: usize,
    /// Calls that began before it do not count: they ran beside more than those of now.
    epoch: Instant,
    samples: Vec<Duration>,
    shortest: Option<Duration>,
    /// The limit to go on with, while the shortest round trip is measured.
    kept: Option<f64>,
}

const LEAST: f64 = 3.0;
const MOST: f64 = 1000.0;

impl EnvoyGradient {
    /// Begins with measuring the shortest round trip by so many calls. `buffer` is how much longer a call may take.
    #[must_use]
    pub fn new(now: Instant, buffer: f64, calls: usize) -> Self {
        let calls = calls.max(1);
        Self { limit: LEAST, buffer, calls, epoch: now, samples: Vec::new(), shortest: None, kept: Some(LEAST) }
    }

    /// How many may be in flight.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// The shortest round trip, once it is known.
    #[must_use]
    pub fn shortest(&self) -> Option<Duration> {
        self.shortest
    }

    /// Measures the shortest round trip once more: up to then few calls are let in.
    pub fn measure_again(&mut self, now: Instant) {
        self.kept.get_or_insert(self.limit);
        self.limit = LEAST;
        self.epoch = now;
        self.samples.clear();
    }

    /// A call that began at `begun` has ended after `rtt`.
    pub fn sample(&mut self, begun: Instant, rtt: Duration) {
        if begun < self.epoch {
            return;
        }
        self.samples.push(rtt);
        if self.samples.len() >= self.calls
            && let Some(kept) = self.kept.take()
        {
            self.shortest = Some(median(&mut self.samples));
            self.limit = kept;
            self.epoch = begun + rtt;
        }
    }

    /// A window has ended: the limit moves by what was measured in it, if anything was.
    pub fn window_ends(&mut self) {
        let (Some(shortest), None) = (self.shortest, self.kept) else { return };
        if self.samples.is_empty() {
            return;
        }
        let sample = median(&mut self.samples);
        let limit = envoy_gradient(self.limit, shortest.as_secs_f64(), sample.as_secs_f64(), self.buffer);
        self.limit = limit.clamp(LEAST, MOST);
    }
}

/// The median of these, and nothing is left.
fn median(samples: &mut Vec<Duration>) -> Duration {
    let mut samples = mem::take(samples);
    samples.sort_unstable();
    // Never empty where it is called.
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}
