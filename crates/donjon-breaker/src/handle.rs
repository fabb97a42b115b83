use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use donjon_core::{OutOfRange, state_changed};
use tokio::time::Instant;

use crate::{circuit::Circuit, gate::Command, word::Kind};

/// The operator's end of a breaker: its state, its figures, and the last word.
///
/// It stays valid when every layer and service of the breaker is gone.
#[derive(Clone)]
pub struct Handle {
    circuit: Arc<Circuit>,
}

/// What a breaker does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Lets it through, and counts what comes of it.
    Closed,
    /// Refuses it; or, once its time is over, lets it through as a probe.
    Open,
    /// Lets it through as a probe, if not enough are out.
    HalfOpen,
    /// Refuses it, since the operator says so.
    ForcedOpen,
    /// Lets it through, since the operator says so.
    ForcedClosed,
    /// Lets it through and looks at nothing, since the operator says so.
    Disabled,
}

/// Figures of a breaker, over all clones of the layer and all services it has made.
///
/// Each is exact; read while calls come and go, they need not be of the same instant. A success is not counted: it
/// writes nothing that is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// What it does now.
    pub state: State,
    /// The score of a closed circuit, or its failures in a row; 0 where it counts otherwise.
    pub score: u32,
    /// The window of a closed circuit; empty where there is none.
    pub window: WindowStats,
    /// Calls that were refused.
    pub refused: u64,
    /// Calls that failed and were counted. Those that the operator let through are among them, late ones are not.
    pub failures: u64,
    /// Calls that were dropped before they had answered, whatever that counts for. A panic is a drop.
    pub cancelled: u64,
    /// Calls that ended when the state in which they had been let in was over; what came of them changed nothing, but for a
    /// `Retry-After` that extends an opening.
    pub late: u64,
    /// How often it has opened by itself.
    pub opened: u64,
    /// How often it has begun to probe.
    pub half_opened: u64,
    /// How often its probes have closed it.
    pub closed: u64,
    /// Calls that were let through as probes.
    pub probes: u64,
    /// How often a probe has not ended in time, or a row of them was dropped until it was over.
    pub leases_expired: u64,
}

/// What the sliding window of a closed circuit holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowStats {
    /// Calls in it. With a throttle they are its requests, those that it has refused included if it counts them.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that were slow.
    pub slow: u64,
    /// How long they took all together, to a tenth of a millisecond; measured only where slow calls matter.
    pub took: Duration,
}

// ===== impl Handle =====

impl Handle {
    pub(crate) const fn new(circuit: Arc<Circuit>) -> Self {
        Self { circuit }
    }

    /// What it does with calls now. One load.
    #[must_use]
    pub fn state(&self) -> State {
        State::from(self.circuit.kind())
    }

    /// The figures now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let figures = self.circuit.figures(Instant::now);
        let counts = &self.circuit.counts;
        let sums = figures.sums;
        Stats {
            state: State::from(figures.kind),
            score: figures.score,
            window: WindowStats { calls: sums.calls, failures: sums.failures, slow: sums.slow, took: sums.took },
            refused: counts.refused.load(Relaxed),
            failures: counts.failures.load(Relaxed),
            cancelled: counts.cancelled.load(Relaxed),
            late: counts.late.load(Relaxed),
            opened: figures.counters.opened,
            half_opened: figures.counters.half_opened,
            closed: figures.counters.closed,
            probes: figures.counters.probes,
            leases_expired: figures.counters.leases_expired,
        }
    }

    /// Refuses all calls from now on, until told otherwise. What runs goes on.
    pub fn force_open(&self) {
        self.circuit.command(Command::ForceOpen);
    }

    /// Lets all calls through from now on, until told otherwise; failures are counted in the figures and open nothing.
    pub fn force_closed(&self) {
        self.circuit.command(Command::ForceClosed);
    }

    /// Lets all calls through from now on, until told otherwise, and looks at nothing.
    pub fn disable(&self) {
        self.circuit.command(Command::Disable);
    }

    /// Closed, and as new, but for what the figures have counted: the way back from each of the others, and the way to
    /// close a circuit before its time.
    pub fn reset(&self) {
        self.circuit.command(Command::Reset);
    }

    /// How long it is open at first, from the next opening on: see
    /// [`BreakerLayer::open_for`](crate::BreakerLayer::open_for). The opening that runs keeps its time;
    /// [`reset`](Self::reset) ends it.
    ///
    /// # Errors
    ///
    /// None: every duration means something. The result is there as on every other handle.
    pub fn set_open_for(&self, time: Duration) -> Result<(), OutOfRange> {
        self.circuit.set(|settings| settings.open_for = time);
        state_changed("breaker", "open_for", format_args!("{time:?}"));
        Ok(())
    }

    /// The longest opening, from the next one on: see [`BreakerLayer::max_open`](crate::BreakerLayer::max_open).
    ///
    /// # Errors
    ///
    /// None: every duration means something. The result is there as on every other handle.
    pub fn set_max_open(&self, time: Duration) -> Result<(), OutOfRange> {
        self.circuit.set(|settings| settings.max_open = time);
        state_changed("breaker", "max_open", format_args!("{time:?}"));
        Ok(())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("circuit", &self.circuit).finish()
    }
}

// ===== impl State =====

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Closed, Self::Open, Self::HalfOpen, Self::ForcedOpen, Self::ForcedClosed, Self::Disabled];

    /// A short stable name, for logs and metrics: `closed`, `half-open`, …
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => Kind::Closed,
            Self::Open => Kind::Open,
            Self::HalfOpen => Kind::HalfOpen,
            Self::ForcedOpen => Kind::ForcedOpen,
            Self::ForcedClosed => Kind::ForcedClosed,
            Self::Disabled => Kind::Disabled,
        }
        .as_str()
    }
}

impl From<Kind> for State {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Closed => Self::Closed,
            Kind::Open => Self::Open,
            Kind::HalfOpen => Self::HalfOpen,
            Kind::ForcedOpen => Self::ForcedOpen,
            Kind::ForcedClosed => Self::ForcedClosed,
            Kind::Disabled => Self::Disabled,
        }
    }
}

// ===== impl WindowStats =====

impl WindowStats {
    /// How long a call took on the average.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let nanos = self.took.as_nanos().checked_div(self.calls.into()).unwrap_or(0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
