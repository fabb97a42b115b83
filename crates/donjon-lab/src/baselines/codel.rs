//! Which of those that wait are still served.

use std::time::Duration;

use tokio::time::Instant;

/// CoDel for queues of requests.
///
/// Source: folly, `folly/executors/Codel.cpp`, with its target of 5 ms and interval of 100 ms: while the least delay of
/// the interval before was over the target, whatever has waited longer than twice the target is dropped; the first
/// request of an interval never is.
#[derive(Clone, Debug)]
pub struct Codel {
    target: Duration,
    interval: Duration,
    until: Instant,
    least: Duration,
    reset: bool,
    overloaded: bool,
}

// ===== impl Codel =====

impl Codel {
    /// With an interval that begins now.
    #[must_use]
    pub fn new(now: Instant, target: Duration, interval: Duration) -> Self {
        Self { target, interval, until: now, least: Duration::ZERO, reset: true, overloaded: false }
    }

    /// Whether a request that leaves the queue after this delay is to be dropped.
    pub fn drops(&mut self, now: Instant, delay: Duration) -> bool {
        if now > self.until && !self.reset {
            self.reset = true;
            self.until = now + self.interval;
            self.overloaded = self.least > self.target;
        }
        if self.reset {
            self.reset = false;
            self.least = delay;
            return false;
        }
        self.least = self.least.min(delay);
        self.overloaded && delay > 2 * self.target
    }
}
