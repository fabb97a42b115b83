//! The adaptive retry mode of the AWS SDKs: a client that lowers its own rate when it is throttled (smithy-rs,
//! `client_rate_limiter.rs`).

use super::formulas::aws_cubic_rate;

/// A rate that falls by three tenths when a call is throttled, and comes back along a cubic curve. Times are in seconds
/// since some instant.
#[derive(Clone, Copy, Debug)]
pub struct ClientRate {
    enabled: bool,
    rate: f64,
    /// Of what was sent, smoothed, and the half second up to which it was measured.
    measured: f64,
    bucket: f64,
    sent: f64,
    last_max: f64,
    throttled_at: f64,
}

const LEAST: f64 = 0.5;
const SMOOTH: f64 = 0.8;

impl ClientRate {
    /// No limit yet: there is one from the first throttling on.
    #[must_use]
    pub fn new(now: f64) -> Self {
        Self {
            enabled: false,
            rate: 0.0,
            measured: 0.0,
            bucket: now.floor(),
            sent: 0.0,
            last_max: 0.0,
            throttled_at: now,
        }
    }

    /// Calls a second, once there is a limit.
    #[must_use]
    pub fn limit(&self) -> Option<f64> {
        self.enabled.then_some(self.rate)
    }

    /// What the limit is, or would be.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Calls a second that were sent.
    #[must_use]
    pub fn measured(&self) -> f64 {
        self.measured
    }

    /// A call has ended.
    pub fn ended(&mut self, now: f64, throttled: bool) {
        self.measure(now);
        let target = if throttled {
            let base = if self.enabled { self.measured.min(self.rate) } else { self.measured };
            self.last_max = base;
            self.throttled_at = now;
            self.enabled = true;
            base * 0.7
        } else {
            aws_cubic_rate(self.last_max, now - self.throttled_at)
        };
        self.rate = target.min(2.0 * self.measured).max(LEAST);
    }

    fn measure(&mut self, now: f64) {
        self.sent += 1.0;
        let bucket = (now * 2.0).floor() / 2.0;
        if bucket > self.bucket {
            let current = self.sent / (bucket - self.bucket);
            self.measured = current * SMOOTH + self.measured * (1.0 - SMOOTH);
            self.sent = 0.0;
            self.bucket = bucket;
        }
    }
}
