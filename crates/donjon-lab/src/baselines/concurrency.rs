//! Adaptive concurrency limits of Netflix's concurrency-limits: `AIMDLimit`, `VegasLimit`, `Gradient2Limit`.
//!
//! Each is told of a call that has ended: how long it took, how many were in flight when it began (itself included), and
//! whether it was dropped. What they leave out is Vegas's probing, which asks for the round trip of an idle service again
//! from time to time.

use std::time::Duration;

/// One more after each call while the limit is used, a tenth less after a drop.
#[derive(Clone, Copy, Debug)]
pub struct Aimd {
    limit: u32,
    least: u32,
    most: u32,
    timeout: Duration,
}

/// Estimates the queue at the service by how much longer a call takes than the shortest one did, and keeps it between
/// `alpha` and `beta`.
#[derive(Clone, Copy, Debug)]
pub struct Vegas {
    limit: f64,
    most: f64,
    smoothing: f64,
    queue: Option<(f64, f64)>,
    halves: bool,
    shortest: Option<Duration>,
}

/// Shrinks as far as calls take longer than they did on a long average, and always leaves room for a queue of four.
#[derive(Clone, Copy, Debug)]
pub struct Gradient2 {
    limit: f64,
    least: f64,
    most: f64,
    long: LongMean,
}

/// A mean of the first ten, then an exponential one over 600.
#[derive(Clone, Copy, Debug, Default)]
struct LongMean {
    value: f64,
    count: u32,
}

// ===== impl Aimd =====

impl Aimd {
    /// From 20 to 200, and a call of more than 5 s counts as dropped.
    #[must_use]
    pub fn new(initial: u32) -> Self {
        Self { limit: initial, least: 20, most: 200, timeout: Duration::from_secs(5) }
    }

    /// How many may be in flight.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// A call has ended.
    pub fn sample(&mut self, rtt: Duration, in_flight: u32, dropped: bool) {
        let limit = if dropped || rtt > self.timeout {
            (f64::from(self.limit) * 0.9) as u32
        } else if in_flight.saturating_mul(2) >= self.limit {
            self.limit.saturating_add(1)
        } else {
            self.limit
        };
        self.limit = limit.clamp(self.least, self.most);
    }
}

// ===== impl Vegas =====

impl Vegas {
    /// From 1 to `most`; a queue of three to six times the decimal logarithm of the limit.
    #[must_use]
    pub fn new(initial: u32, most: u32) -> Self {
        Self {
            limit: f64::from(initial),
            most: f64::from(most),
            smoothing: 1.0,
            queue: None,
            halves: false,
            shortest: None,
        }
    }

    /// A queue between these, whatever the limit is.
    #[must_use]
    pub fn queue(mut self, alpha: f64, beta: f64) -> Self {
        self.queue = Some((alpha, beta));
        self
    }

    /// How much of a step is made: 1 for all of it.
    #[must_use]
    pub fn smoothing(mut self, part: f64) -> Self {
        self.smoothing = part;
        self
    }

    /// Halves where it would go down by a logarithm.
    #[must_use]
    pub fn halving(mut self) -> Self {
        self.halves = true;
        self
    }

    /// How many may be in flight.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// A call has ended.
    pub fn sample(&mut self, rtt: Duration, in_flight: u32, dropped: bool) {
        let shortest = match self.shortest {
            Some(shortest) if rtt >= shortest => shortest,
            _ => {
                self.shortest = Some(rtt);
                return;
            }
        };
        let step = self.limit.log10().floor().max(1.0);
        let lower = if self.halves { self.limit / 2.0 } else { self.limit - step };
        let target = if dropped {
            lower
        } else if f64::from(in_flight) * 2.0 < self.limit {
            return;
        } else {
            let queue = (self.limit * (1.0 - shortest.as_secs_f64() / rtt.as_secs_f64())).ceil();
            let (alpha, beta) = self.queue.unwrap_or((3.0 * step, 6.0 * step));
            if queue <= step {
                self.limit + beta
            } else if queue < alpha {
                self.limit + step
            } else if queue > beta {
                lower
            } else {
                return;
            }
        };
        let target = target.min(self.most).max(1.0);
        self.limit += (target - self.limit) * self.smoothing;
    }
}

// ===== impl Gradient2 =====

impl Gradient2 {
    /// From 20 to `most`; a tolerance of 1.5 and a smoothing of 0.2.
    #[must_use]
    pub fn new(initial: u32, most: u32) -> Self {
        Self { limit: f64::from(initial), least: 20.0, most: f64::from(most), long: LongMean::default() }
    }

    /// How many may be in flight.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// A call has ended. That it was dropped says nothing here.
    pub fn sample(&mut self, rtt: Duration, in_flight: u32) {
        // A call that took no time cannot be compared with.
        let short = rtt.as_secs_f64().max(1e-9);
        let long = self.long.add(short);
        if long / short > 2.0 {
            // After a long spell of load the average is too high for long: it comes down faster.
            self.long.value *= 0.95;
        }
        if f64::from(in_flight) < self.limit / 2.0 {
            return;
        }
        let gradient = (1.5 * long / short).clamp(0.5, 1.0);
        let target = self.limit * gradient + 4.0;
        self.limit = (self.limit * 0.8 + target * 0.2).max(self.least).min(self.most);
    }
}

// ===== impl LongMean =====

impl LongMean {
    fn add(&mut self, sample: f64) -> f64 {
        if self.count < 10 {
            self.count += 1;
            self.value += (sample - self.value) / f64::from(self.count);
        } else {
            self.value += (sample - self.value) * 2.0 / 601.0;
        }
        self.value
    }
}
