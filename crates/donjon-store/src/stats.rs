use std::sync::atomic::{AtomicU64, Ordering};

/// Figures of a [`MemoryStore`](crate::MemoryStore), over all its clones. Hits and misses are for whoever asks to
/// count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many entries are held, those included that have expired or were removed by a tag and were not asked for since.
    pub entries: usize,
    /// What these weigh, the overhead of each included.
    pub weight: u64,
    /// What they may weigh: the capacity that was asked for, less what does not divide among the shards.
    pub capacity: u64,
    /// What one entry may weigh, its overhead included.
    pub largest: u64,
    /// How many were evicted to make room.
    pub evictions: u64,
    /// How many were refused because they weighed more than an entry may.
    pub too_heavy: u64,
    /// How many were refused because a removal had overtaken them.
    pub outdated: u64,
    /// How many were found expired when they were asked for, and left.
    pub expired: u64,
    /// How many were found removed by a tag when they were asked for, and left.
    pub untagged: u64,
}

/// What is only counted where something is refused, evicted or found dead: never on a hit.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) evictions: AtomicU64,
    pub(crate) too_heavy: AtomicU64,
    pub(crate) outdated: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) untagged: AtomicU64,
}

impl Stats {
    /// How many were refused, for whatever reason.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.too_heavy + self.outdated
    }
}

pub(crate) fn count(counter: &AtomicU64, by: u64) {
    if by > 0 {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}
