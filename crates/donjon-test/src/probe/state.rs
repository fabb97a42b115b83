use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    task::Waker,
};

use donjon_core::{Criticality, Deadline};
use tokio::time::Instant;

use super::{ProbeError, Reply, Script};

/// What the instances of a [`Probe`](crate::Probe) say in `poll_ready`. One that is ready stays so until it is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// Ready, as far as the capacity allows.
    #[default]
    Ready,
    /// Pending once for each readiness, waking the task at once; then as `Ready`.
    Slow,
    /// Pending, until the handle says something else.
    Pending,
    /// A [`ProbeError`].
    Fail,
}

/// Counts of what was done to a [`Probe`](crate::Probe), over all of its instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProbeStats {
    /// Instances that exist now.
    pub instances: usize,
    /// How often an instance was cloned.
    pub clones: usize,
    /// Instances that are ready and not yet called: each holds a reservation.
    pub reserved: usize,
    /// How often `call` was called.
    pub calls: usize,
    /// Calls that run now.
    pub in_flight: usize,
    /// The most calls that ran at once.
    pub max_in_flight: usize,
    /// Calls that ended with an answer.
    pub answered: usize,
    /// Calls that ended with an error, an [unavailable](crate::Exchange::unavailable) or a
    /// [truncated](crate::Exchange::truncated) response.
    pub failed: usize,
    /// Calls that panicked, in `call` or in their future.
    pub panicked: usize,
    /// Calls whose future was dropped before it ended.
    pub dropped: usize,
    /// Polls of futures of calls.
    pub polls: usize,
    /// Polls of readiness.
    pub ready_polls: usize,
    /// Wakers that the probe has woken.
    pub wakes: usize,
}

/// What a layer did to a [`Probe`](crate::Probe) that no layer may do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// An instance was called that had not been ready.
    NotReady {
        /// The call, if the request could be read.
        id: Option<u64>,
    },
    /// A future was polled after it had ended.
    PolledAfterEnd {
        /// The call.
        id: Option<u64>,
    },
    /// A future or a readiness that was pending was polled again within one poll from outside, though nobody had woken
    /// it.
    Spun,
    /// The request is not the one that was sent.
    RequestChanged {
        /// The call, if the request could be read.
        id: Option<u64>,
        /// How it differs.
        how: String,
    },
}

/// A call of the [`Probe`](crate::Probe), as it was when it started.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Started {
    /// The number of the call, if the request could be read.
    pub id: Option<u64>,
    /// When.
    pub at: Instant,
    /// The ambient deadline in `call`.
    pub deadline: Deadline,
    /// The ambient criticality in `call`.
    pub criticality: Criticality,
    /// The ambient attempt in `call`.
    pub attempt: u32,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) readiness: Readiness,
    /// How many calls and reservations there may be at once.
    pub(crate) capacity: Option<usize>,
    /// What the next calls do.
    pub(crate) next: VecDeque<Reply>,
    /// What calls do after that.
    pub(crate) script: Option<Script>,
    pub(crate) reply: Reply,
    pub(crate) stats: ProbeStats,
    pub(crate) violations: Vec<Violation>,
    pub(crate) started: Vec<Started>,
    /// Calls that run, by serial number.
    pub(crate) running: BTreeMap<u64, Running>,
    pub(crate) serial: u64,
    pub(crate) errors: u64,
    pub(crate) instance: u64,
    /// Those who wait for an instance to become ready, by instance.
    pub(crate) unready: BTreeMap<u64, Waker>,
    /// Counts the polls from outside, where somebody counts them.
    pub(crate) epoch: u64,
}

pub(crate) struct Running {
    pub(crate) id: Option<u64>,
    pub(crate) held: bool,
    pub(crate) waker: Option<Waker>,
}

// ===== impl State =====

impl State {
    pub(crate) fn next_reply(&mut self) -> Reply {
        let scripted = || self.script.as_mut().map(Script::next);
        self.next.pop_front().or_else(scripted).unwrap_or(self.reply)
    }

    pub(crate) fn error(&mut self, readiness: bool) -> ProbeError {
        self.errors += 1;
        ProbeError::new(self.errors, readiness)
    }

    pub(crate) fn has_room(&self) -> bool {
        self.capacity.is_none_or(|capacity| self.stats.reserved + self.stats.in_flight < capacity)
    }

    /// Everybody who waits for readiness looks again. The caller wakes them once the lock is free.
    #[must_use]
    pub(crate) fn take_unready(&mut self) -> Vec<Waker> {
        let wakers: Vec<_> = std::mem::take(&mut self.unready).into_values().collect();
        self.stats.wakes += wakers.len();
        wakers
    }

    pub(crate) fn running_ids(&self) -> BTreeSet<u64> {
        self.running.values().filter_map(|running| running.id).collect()
    }
}

// ===== impl Violation =====

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady { id } => write!(f, "{} went to an instance that had not been ready", Call(*id)),
            Self::PolledAfterEnd { id } => write!(f, "the future of {} was polled after it had ended", Call(*id)),
            Self::Spun => f.write_str("something pending was polled twice in one poll, though nobody had woken it"),
            Self::RequestChanged { id, how } => write!(f, "the request of {} arrived changed: {how}", Call(*id)),
        }
    }
}

/// Names a call.
struct Call(Option<u64>);

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(f, "call {id}"),
            None => f.write_str("an unknown call"),
        }
    }
}
