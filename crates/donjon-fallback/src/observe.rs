use donjon_core::{Figure, Observe};

use crate::Handle;

/// `donjon_fallback_*`: `answered_total`, `failed_total`, `not_kept_total`, `cancelled_total`.
impl Observe for Handle {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        let stats = self.stats();
        for (name, help, value) in [
            ("donjon_fallback_answered_total", "Failures that a second answer stood in for.", stats.answered),
            ("donjon_fallback_failed_total", "Failures whose second answer was an error.", stats.failed),
            ("donjon_fallback_not_kept_total", "Failures of whose request nothing was kept.", stats.not_kept),
            ("donjon_fallback_cancelled_total", "Calls dropped while the second answer came.", stats.cancelled),
        ] {
            visit(Figure::counter(name, help, value));
        }
    }
}
