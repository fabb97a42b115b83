use donjon_core::{Figure, Observe};

use crate::Budget;

/// `donjon_budget_*`: `tokens`, `capacity`, `share_tokens`, `share_burst` (gauges); `granted_total`, `refused_total`,
/// `given_back_total`, `succeeded_total`, `share_taken_total`, `share_refused_total`.
impl Observe for Budget {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        let stats = self.stats();
        visit(Figure::gauge("donjon_budget_tokens", "Tokens for retries in the bucket.", stats.tokens));
        visit(Figure::gauge("donjon_budget_capacity", "Tokens that the bucket can hold.", stats.capacity));
        visit(Figure::counter("donjon_budget_granted_total", "Retries that were paid for.", stats.granted));
        visit(Figure::counter("donjon_budget_refused_total", "Retries that were not paid for.", stats.refused));
        visit(Figure::counter("donjon_budget_given_back_total", "Retries paid for and never sent.", stats.given_back));
        visit(Figure::counter("donjon_budget_succeeded_total", "Retries that succeeded.", stats.succeeded));
        let share = stats.share;
        visit(Figure::gauge("donjon_budget_share_tokens", "Tokens for hedges, probes and refreshes.", share.tokens));
        visit(Figure::gauge("donjon_budget_share_burst", "Tokens that the share can hold.", share.burst));
        visit(Figure::counter("donjon_budget_share_taken_total", "Hedges, probes, refreshes paid for.", share.taken));
        let help = "Hedges, probes and refreshes that were not paid for.";
        visit(Figure::counter("donjon_budget_share_refused_total", help, share.refused));
    }
}
