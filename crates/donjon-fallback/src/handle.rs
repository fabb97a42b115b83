use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The operator's end of a [`FallbackLayer`](crate::FallbackLayer): what it has done.
#[derive(Clone, Debug)]
pub struct Handle {
    counters: Arc<Counters>,
}

/// What a fallback has done, over all clones of the layer and all services it has made. A success of the inner service is
/// not counted: it writes nothing that is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Failures that were to be answered for, and the second answer was a success.
    pub answered: u64,
    /// Failures that were to be answered for, and the second answer was a failure: an error, or a response that is classified as
    /// one, such as the failed one itself when the deadline had passed.
    pub failed: u64,
    /// Failures that were to be answered for, and nothing had been kept of their request.
    pub not_kept: u64,
    /// Calls that were dropped while the second answer was on its way.
    pub cancelled: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) answered: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) not_kept: AtomicU64,
    pub(crate) cancelled: AtomicU64,
}

// ===== impl Handle =====

impl Handle {
    pub(crate) const fn new(counters: Arc<Counters>) -> Self {
        Self { counters }
    }

    /// The figures, read one after the other.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = &*self.counters;
        Stats {
            answered: counters.answered.load(Relaxed),
            failed: counters.failed.load(Relaxed),
            not_kept: counters.not_kept.load(Relaxed),
            cancelled: counters.cancelled.load(Relaxed),
        }
    }
}
