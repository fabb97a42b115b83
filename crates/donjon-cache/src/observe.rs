use donjon_core::{Figure, Observe};

use crate::{Handle, Stats};

/// See [`Stats`]: the same figures.
impl<K, V, St> Observe for Handle<K, V, St> {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        self.stats().observe(visit);
    }
}

/// `donjon_cache_*`: `hits_total`, `misses_total`, `coalesced_total`, `stale_total`, `rescued_total`, `bypassed_total`,
/// `refused_total`, `refreshes_total`, `failed_refreshes_total`, `skipped_refreshes_total`, `stored_total`,
/// `unstored_total`, `store_refusals_total`, `store_errors_total`; `refreshing` (gauge).
impl Observe for Stats {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        let mut count = |name, help, value| visit(Figure::counter(name, help, value));
        count("donjon_cache_hits_total", "Calls answered by a fresh value.", self.hits);
        count("donjon_cache_misses_total", "Calls that found nothing to serve at once.", self.misses);
        count("donjon_cache_coalesced_total", "Misses that joined another call.", self.coalesced);
        count("donjon_cache_stale_total", "Calls answered by a stale value at once.", self.stale);
        count("donjon_cache_rescued_total", "Failures answered by a stale value.", self.rescued);
        count("donjon_cache_bypassed_total", "Calls without a key.", self.bypassed);
        count("donjon_cache_refused_total", "Misses refused by the cache itself.", self.refused);
        count("donjon_cache_refreshes_total", "Refreshes started.", self.refreshes);
        count("donjon_cache_failed_refreshes_total", "Refreshes that brought no answer.", self.failed_refreshes);
        count("donjon_cache_skipped_refreshes_total", "Refreshes that were not started.", self.skipped_refreshes);
        count("donjon_cache_stored_total", "Answers stored.", self.stored);
        count("donjon_cache_unstored_total", "Answers that were not to be stored.", self.unstored);
        count("donjon_cache_store_refusals_total", "Answers that the store refused.", self.store_refusals);
        count("donjon_cache_store_errors_total", "Failures of the store.", self.store_errors);
        visit(Figure::gauge("donjon_cache_refreshing", "Refreshes that run.", self.refreshing as f64));
    }
}
