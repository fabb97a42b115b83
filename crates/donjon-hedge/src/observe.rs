use donjon_core::{Figure, Observe};

use crate::HedgeHandle;

/// `donjon_hedge_*`: `delay_seconds` (a gauge, absent while there is none); `sent_total`, `won_total`, `unpaid_total`.
impl Observe for HedgeHandle {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        let stats = self.stats();
        if let Some(delay) = stats.delay {
            visit(Figure::gauge("donjon_hedge_delay_seconds", "After how long a call is late.", delay.as_secs_f64()));
        }
        visit(Figure::counter("donjon_hedge_sent_total", "Copies sent beside the first.", stats.hedges));
        visit(Figure::counter("donjon_hedge_won_total", "Calls that such a copy answered.", stats.won));
        visit(Figure::counter("donjon_hedge_unpaid_total", "Hedges that the budget did not pay for.", stats.unpaid));
    }
}
