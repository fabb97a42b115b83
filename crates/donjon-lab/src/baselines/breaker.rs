//! When a circuit opens.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// What decides whether a circuit opens: told each outcome, it says whether to open now.
pub trait Circuit {
    /// A call has ended.
    fn record(&mut self, now: Instant, failed: bool, took: Duration) -> bool;
}

/// The last so many calls. Source: resilience4j, `core/metrics/FixedSizeSlidingWindowMetrics`.
#[derive(Clone, Debug)]
pub struct CountWindow {
    size: usize,
    slow: Duration,
    calls: VecDeque<(bool, Duration)>,
    failures: usize,
}

/// The last so many whole seconds. Source: resilience4j, `core/metrics/SlidingTimeWindowMetrics`.
#[derive(Clone, Debug)]
pub struct TimeWindow {
    seconds: usize,
    start: Instant,
    /// Of each second: its number, calls, failures.
    buckets: VecDeque<(u64, u64, u64)>,
}

/// resilience4j's circuit breaker as it is configured by default: a count window of 100 calls, at least 100 of them, half
/// of which have failed.
#[derive(Clone, Debug)]
pub struct Resilience4j(CountWindow);

/// Polly's circuit breaker as it is configured by default: a tenth of at least 100 calls in 30 s, which slide in ten steps.
///
/// Source: Polly, `CircuitBreakerStrategyOptions` (failure ratio 0.1, minimum throughput 100, sampling 30 s) and
/// `RollingHealthMetrics` (ten windows).
#[derive(Clone, Debug)]
pub struct Polly {
    start: Instant,
    windows: VecDeque<(u64, u64, u64)>,
}

// ===== impl CountWindow =====

impl CountWindow {
    /// Of so many calls; slower ones than `slow` count as slow.
    #[must_use]
    pub fn new(size: usize, slow: Duration) -> Self {
        Self { size, slow, calls: VecDeque::with_capacity(size), failures: 0 }
    }

    /// A call has ended.
    pub fn record(&mut self, failed: bool, took: Duration) {
        if self.calls.len() == self.size
            && let Some((failed, _)) = self.calls.pop_front()
        {
            self.failures -= usize::from(failed);
        }
        self.calls.push_back((failed, took));
        self.failures += usize::from(failed);
    }

    /// How many calls it holds.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// The share that failed, in percent.
    #[must_use]
    pub fn failure_rate(&self) -> f64 {
        self.percent(self.failures)
    }

    /// The share that was slow, in percent.
    #[must_use]
    pub fn slow_rate(&self) -> f64 {
        self.percent(self.calls.iter().filter(|(_, took)| *took > self.slow).count())
    }

    /// The mean time of a call.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let sum: Duration = self.calls.iter().map(|(_, took)| *took).sum();
        sum / self.calls.len().max(1) as u32
    }

    fn percent(&self, calls: usize) -> f64 {
        100.0 * calls as f64 / self.calls.len().max(1) as f64
    }
}

// ===== impl TimeWindow =====

impl TimeWindow {
    /// Of so many seconds, the first of which begins now.
    #[must_use]
    pub fn new(start: Instant, seconds: usize) -> Self {
        Self { seconds, start, buckets: VecDeque::new() }
    }

    /// A call has ended.
    pub fn record(&mut self, now: Instant, failed: bool) {
        let second = self.forget(now);
        match self.buckets.back_mut() {
            Some(last) if last.0 == second => (last.1, last.2) = (last.1 + 1, last.2 + u64::from(failed)),
            _ => self.buckets.push_back((second, 1, u64::from(failed))),
        }
    }

    /// Calls and failures in the window.
    pub fn snapshot(&mut self, now: Instant) -> (u64, u64) {
        self.forget(now);
        self.buckets.iter().fold((0, 0), |sum, it| (sum.0 + it.1, sum.1 + it.2))
    }

    fn forget(&mut self, now: Instant) -> u64 {
        let second = (now - self.start).as_secs();
        while self.buckets.front().is_some_and(|(at, ..)| at + self.seconds as u64 <= second) {
            self.buckets.pop_front();
        }
        second
    }
}

// ===== impl Resilience4j =====

impl Default for Resilience4j {
    fn default() -> Self {
        Self(CountWindow::new(100, Duration::from_secs(60)))
    }
}

impl Circuit for Resilience4j {
    fn record(&mut self, _: Instant, failed: bool, took: Duration) -> bool {
        self.0.record(failed, took);
        self.0.calls() >= 100 && self.0.failure_rate() >= 50.0
    }
}

// ===== impl Polly =====

impl Polly {
    const WINDOW: Duration = Duration::from_secs(3);
    const WINDOWS: u64 = 10;

    /// Its first window begins now.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        Self { start, windows: VecDeque::new() }
    }
}

impl Circuit for Polly {
    fn record(&mut self, now: Instant, failed: bool, _: Duration) -> bool {
        let number = ((now - self.start).as_nanos() / Self::WINDOW.as_nanos()) as u64;
        while self.windows.front().is_some_and(|(at, ..)| at + Self::WINDOWS <= number) {
            self.windows.pop_front();
        }
        if self.windows.back().is_none_or(|(at, ..)| *at != number) {
            self.windows.push_back((number, 0, 0));
        }
        let last = self.windows.back_mut().expect("one has just been put there");
        (last.1, last.2) = (last.1 + 1, last.2 + u64::from(failed));
        let (calls, failures) = self.windows.iter().fold((0, 0), |sum, it| (sum.0 + it.1, sum.1 + it.2));
        // Polly looks when a call has failed.
        failed && calls >= 100 && failures as f64 >= 0.1 * calls as f64
    }
}
