use std::hash::Hash;

use donjon_core::{Figure, Observe};

use crate::{MemoryStore, Stats};

/// `donjon_store_*`: `entries`, `weight`, `capacity`, `largest` (gauges); `evictions_total`, `expired_total`,
/// `untagged_total`, and `refused_total` with the label `reason` (`too-heavy`, `outdated`).
impl Observe for Stats {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        visit(Figure::gauge("donjon_store_entries", "Entries that are held.", self.entries as f64));
        visit(Figure::gauge("donjon_store_weight", "What the entries weigh.", self.weight as f64));
        visit(Figure::gauge("donjon_store_capacity", "What the entries may weigh.", self.capacity as f64));
        visit(Figure::gauge("donjon_store_largest", "What one entry may weigh.", self.largest as f64));
        visit(Figure::counter("donjon_store_evictions_total", "Entries evicted to make room.", self.evictions));
        visit(Figure::counter("donjon_store_expired_total", "Entries found expired.", self.expired));
        visit(Figure::counter("donjon_store_untagged_total", "Entries found removed by a tag.", self.untagged));
        for (reason, value) in [("too-heavy", self.too_heavy), ("outdated", self.outdated)] {
            visit(
                Figure::counter("donjon_store_refused_total", "Entries that were refused.", value)
                    .label("reason", reason),
            );
        }
    }
}

/// See [`Stats`]: the same figures.
impl<K: Eq + Hash, V: Clone> Observe for MemoryStore<K, V> {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        self.stats().observe(visit);
    }
}
