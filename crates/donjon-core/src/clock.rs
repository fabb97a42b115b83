use std::time::SystemTime;

use tokio::time::Instant;

/// The wall clock, for protocols that speak of dates (`Date`, `Expires`, `Retry-After: <date>`). Durations are measured
/// with `tokio::time` and never with this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no wall clock",
    label = "not a clock",
    note = "use `SystemClock`, `TokioClock` (which a paused clock drives), or implement `Clock`"
)]
pub trait Clock {
    /// The time of day now.
    fn now(&self) -> SystemTime;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A wall clock that starts at a given time of day and advances as `tokio::time` does, so that a test with a paused
/// runtime drives dates as it drives timers.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    start: Instant,
    time: SystemTime,
}

// ===== impl SystemClock =====

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

// ===== impl TokioClock =====

impl TokioClock {
    /// A clock on which it is `time` now.
    #[must_use]
    pub fn starting_at(time: SystemTime) -> Self {
        Self { start: Instant::now(), time }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> SystemTime {
        self.time.checked_add(self.start.elapsed()).unwrap_or(self.time)
    }
}
