use donjon_core::{Figure, Observe};

use crate::{Handle, State};

/// `donjon_breaker_*`: `state` with the label `state` (the names of [`State`]; 1 for the one that it is in, 0 for the
/// others), `score` (gauges); `refused_total`, `failures_total`, `cancelled_total`, `late_total`, `opened_total`,
/// `half_opened_total`, `closed_total`, `probes_total`, `leases_expired_total`.
impl Observe for Handle {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        let stats = self.stats();
        for state in State::ALL {
            let is_now = if state == stats.state { 1.0 } else { 0.0 };
            visit(
                Figure::gauge("donjon_breaker_state", "Whether it is in this state.", is_now)
                    .label("state", state.as_str()),
            );
        }
        let score = stats.score.into();
        visit(Figure::gauge("donjon_breaker_score", "The score of a closed circuit, or its failures in a row.", score));
        for (name, help, value) in [
            ("donjon_breaker_refused_total", "Calls that were refused.", stats.refused),
            ("donjon_breaker_failures_total", "Calls that failed and were counted.", stats.failures),
            ("donjon_breaker_cancelled_total", "Calls that were dropped before they had answered.", stats.cancelled),
            ("donjon_breaker_late_total", "Calls whose end came too late to count.", stats.late),
            ("donjon_breaker_opened_total", "How often it has opened by itself.", stats.opened),
            ("donjon_breaker_half_opened_total", "How often it has begun to probe.", stats.half_opened),
            ("donjon_breaker_closed_total", "How often its probes have closed it.", stats.closed),
            ("donjon_breaker_probes_total", "Calls that were let through as probes.", stats.probes),
            ("donjon_breaker_leases_expired_total", "How often probes have not ended in time.", stats.leases_expired),
        ] {
            visit(Figure::counter(name, help, value));
        }
    }
}
