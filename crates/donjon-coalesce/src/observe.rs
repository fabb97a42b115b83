use donjon_core::{Figure, Observe};

use crate::{Handle, Stats};

/// See [`Stats`]: the same figures.
impl Observe for Handle {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        self.stats().observe(visit);
    }
}

/// `donjon_coalesce_*`: `max_followers`, `in_flight` (gauges); `started_total`, `joined_total`, `promoted_total`,
/// `again_total`, `refused_total`, `timed_out_total`, `passed_total`.
impl Observe for Stats {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        let max = self.max_followers as f64;
        visit(Figure::gauge("donjon_coalesce_max_followers", "Callers that may follow one call.", max));
        visit(Figure::gauge("donjon_coalesce_in_flight", "Keys with a call in flight.", self.in_flight as f64));
        visit(Figure::counter("donjon_coalesce_started_total", "Calls started for a key.", self.started));
        visit(Figure::counter("donjon_coalesce_joined_total", "Callers that joined a call in flight.", self.joined));
        visit(Figure::counter("donjon_coalesce_promoted_total", "Callers that took a call over.", self.promoted));
        visit(Figure::counter("donjon_coalesce_again_total", "Callers that had to start again.", self.again));
        visit(Figure::counter("donjon_coalesce_refused_total", "Callers beyond the bound of followers.", self.refused));
        visit(Figure::counter("donjon_coalesce_timed_out_total", "Followers that met their deadline.", self.timed_out));
        visit(Figure::counter("donjon_coalesce_passed_total", "Calls without a key.", self.passed));
    }
}
