use std::{fmt, hash::Hash, sync::Arc, thread::available_parallelism};

use crate::{MemoryStore, Weigh, memory::Settings};

/// The most that a store can weigh: the engine reckons shares as `f64`, and up to here these are exact.
const MAX_CAPACITY: u64 = 1 << 53;

/// Settings of a [`MemoryStore`].
#[must_use]
pub struct MemoryStoreBuilder<K, V> {
    weigher: Option<Arc<dyn Weigh<K, V> + Send + Sync>>,
    capacity: u64,
    overhead: u64,
    largest: Option<u64>,
    entries: Option<u64>,
    shards: Option<usize>,
    tag_places: u16,
}

impl<K, V> MemoryStoreBuilder<K, V> {
    /// Each entry weighs 1, and nothing is added for its overhead.
    pub(crate) fn counting(capacity: u64) -> Self {
        Self {
            weigher: None,
            capacity,
            overhead: 0,
            largest: None,
            entries: None,
            shards: None,
            tag_places: u16::MAX - 1,
        }
    }

    /// Each entry weighs what `weigher` says, in bytes, and its overhead.
    pub(crate) fn weighing(capacity: u64, weigher: impl Weigh<K, V> + Send + Sync + 'static) -> Self {
        Self {
            weigher: Some(Arc::new(weigher)),
            overhead: MemoryStore::<K, V>::ENTRY_OVERHEAD,
            ..Self::counting(capacity)
        }
    }

    /// What is added to the weight of each entry for what the store needs to hold it.
    /// By default [`MemoryStore::ENTRY_OVERHEAD`] bytes where entries are weighed, and 0 where they are counted.
    ///
    /// No entry weighs less than 1, whatever the weigher and this say: what weighs nothing could never be evicted.
    pub fn overhead(mut self, overhead: u64) -> Self {
        self.overhead = overhead;
        self
    }

    /// What an entry may weigh at most, its overhead included; what is heavier is refused. At most the capacity, and 0
    /// refuses everything. By default 1/32 of the capacity where entries are weighed, and at least 1.
    ///
    /// The store is divided into shards that are locked one by one, and the largest entry has to fit into one: the more
    /// of the capacity one entry may take, the fewer shards there are, and the more threads wait for each other when they
    /// insert.
    pub fn largest(mut self, largest: u64) -> Self {
        self.largest = Some(largest);
        self
    }

    /// How many entries there will be, about. It says how many keys to remember of those that were evicted, half as many,
    /// which lets a key that comes back be kept for longer; each takes half of [`MemoryStore::ENTRY_OVERHEAD`] bytes.
    ///
    /// By default the capacity where entries are counted; where they are weighed, as many as there are if each takes
    /// 4 KiB and its overhead.
    pub fn expected_entries(mut self, entries: u64) -> Self {
        self.entries = Some(entries);
        self
    }

    /// At most so many shards, rounded up to a power of two; 0 counts as 1. By default four for each core of the machine.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// How many places the index of tags has, at least 1 and at most 65,534, the default; each takes 8 bytes from the
    /// first removal by tag on. Tags that share a place are removed together, which costs no more than misses.
    pub fn tag_places(mut self, places: u16) -> Self {
        self.tag_places = places.clamp(1, u16::MAX - 1);
        self
    }

    /// The store.
    #[must_use]
    pub fn build(self) -> MemoryStore<K, V>
    where
        K: Eq + Hash,
        V: Clone,
    {
        let capacity = self.capacity.min(MAX_CAPACITY);
        let largest = self.largest.unwrap_or(match self.weigher {
            Some(_) => (capacity / 32).max(1),
            None => self.overhead.saturating_add(1),
        });
        let entries = self.entries.unwrap_or(match self.weigher {
            Some(_) => capacity / self.overhead.saturating_add(4096),
            None => capacity / self.overhead.saturating_add(1),
        });
        MemoryStore::with_settings(Settings {
            weigher: self.weigher,
            capacity,
            overhead: self.overhead,
            largest: largest.min(capacity),
            entries,
            shards: self.shards.unwrap_or_else(|| available_parallelism().map_or(1, usize::from).saturating_mul(4)),
            tag_places: self.tag_places,
        })
    }
}

impl<K, V> Clone for MemoryStoreBuilder<K, V> {
    fn clone(&self) -> Self {
        Self { weigher: self.weigher.clone(), ..*self }
    }
}

impl<K, V> fmt::Debug for MemoryStoreBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStoreBuilder")
            .field("capacity", &self.capacity)
            .field("overhead", &self.overhead)
            .field("largest", &self.largest)
            .field("entries", &self.entries)
            .field("shards", &self.shards)
            .field("tag_places", &self.tag_places)
            .finish_non_exhaustive()
    }
}
