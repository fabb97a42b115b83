use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// How many may follow one call, unless said.
const MAX_FOLLOWERS: usize = 1024;

/// What all calls in flight of one scope share: the knob, and the figures.
#[derive(Debug)]
pub(crate) struct Control {
    max_followers: AtomicUsize,
    pub(crate) started: AtomicU64,
    /// How many flights have left the map.
    ended: AtomicU64,
    pub(crate) joined: AtomicU64,
    pub(crate) promoted: AtomicU64,
    pub(crate) again: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) passed: AtomicU64,
}

/// Figures of calls that are made once for many, over all that share one state.
///
/// Each is exact; read while calls come and go, they need not be of the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many may follow one call.
    pub max_followers: usize,
    /// How many keys have a call in flight.
    pub in_flight: usize,
    /// How many calls were started for a key.
    pub started: u64,
    /// How often a caller joined a call that was in flight. Twice, if it had to join another one after the first.
    pub joined: u64,
    /// How often a caller took over the call of one that had left.
    pub promoted: u64,
    /// How often a caller had to start again: the call that it had joined panicked, was ended by the deadline of
    /// another caller, was refused to one that is less important, or had an answer that is for one alone.
    pub again: u64,
    /// How many were refused because too many followed the call of their key.
    pub refused: u64,
    /// How many gave up at their deadline.
    pub timed_out: u64,
    /// How many went through alone because they had no key.
    pub passed: u64,
}

// ===== impl Control =====

impl Control {
    pub(crate) fn new() -> Self {
        Self::with_max_followers(MAX_FOLLOWERS)
    }

    pub(crate) fn with_max_followers(max: usize) -> Self {
        Self {
            max_followers: AtomicUsize::new(max),
            started: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            promoted: AtomicU64::new(0),
            again: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            passed: AtomicU64::new(0),
        }
    }

    /// A control of its own with the same settings.
    pub(crate) fn fresh(&self) -> Self {
        Self::with_max_followers(self.max_followers())
    }

    pub(crate) fn max_followers(&self) -> usize {
        self.max_followers.load(Relaxed)
    }

    pub(crate) fn set_max_followers(&self, max: usize) {
        self.max_followers.store(max, Relaxed);
    }

    pub(crate) fn began(&self) {
        count(&self.started);
    }

    pub(crate) fn ended(&self) {
        count(&self.ended);
    }

    pub(crate) fn stats(&self) -> Stats {
        // Read first: what ends meanwhile has started.
        let ended = self.ended.load(Relaxed);
        let started = self.started.load(Relaxed);
        Stats {
            max_followers: self.max_followers(),
            in_flight: usize::try_from(started.saturating_sub(ended)).unwrap_or(usize::MAX),
            started,
            joined: self.joined.load(Relaxed),
            promoted: self.promoted.load(Relaxed),
            again: self.again.load(Relaxed),
            refused: self.refused.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
            passed: self.passed.load(Relaxed),
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
