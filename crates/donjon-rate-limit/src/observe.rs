use donjon_core::{Figure, Observe};

use crate::{Handle, Stats};

/// The figures of its [`Stats`].
impl Observe for Handle {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        self.stats().observe(visit);
    }
}

/// `donjon_rate_limit_*`: `available`, `burst`, `waiting` (gauges); `admitted_total`, `waited_total`, `refused_total`,
/// `cancelled_total`.
impl Observe for Stats {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        visit(Figure::gauge("donjon_rate_limit_available", "Tokens that there are now.", self.available as f64));
        visit(Figure::gauge("donjon_rate_limit_burst", "The most tokens that there can be.", self.burst as f64));
        visit(Figure::gauge("donjon_rate_limit_waiting", "Calls that wait for their turn.", self.waiting as f64));
        visit(Figure::counter("donjon_rate_limit_admitted_total", "Calls that went on.", self.admitted));
        visit(Figure::counter("donjon_rate_limit_waited_total", "Calls that went on after a wait.", self.waited));
        visit(Figure::counter("donjon_rate_limit_refused_total", "Calls refused by the rate.", self.refused));
        visit(Figure::counter("donjon_rate_limit_cancelled_total", "Calls that gave up their turn.", self.cancelled));
    }
}
