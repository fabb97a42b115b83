use donjon_core::{Figure, Observe};

use super::ReplayHandle;

/// `donjon_replay_*`: `copies_total`, `too_large_total`, `source_failed_total`.
impl Observe for ReplayHandle {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        let stats = self.stats();
        visit(Figure::counter("donjon_replay_copies_total", "Copies of bodies that are not empty.", stats.copies));
        visit(Figure::counter("donjon_replay_too_large_total", "Bodies larger than the cap.", stats.too_large));
        visit(Figure::counter(
            "donjon_replay_source_failed_total",
            "Bodies that failed while read.",
            stats.source_failed,
        ));
    }
}
