use donjon_core::{Figure, Observe};

use crate::{NoRetry, RetryHandle};

/// `donjon_retry_*`: `retrying` (gauge); `retries_total`, `recovered_total`, `cancelled_total`, and `failed_total` with the
/// label `reason` (the names of [`NoRetry`]); then the figures of its budget, `donjon_budget_*`.
impl Observe for RetryHandle {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        let stats = self.stats();
        visit(Figure::gauge(
            "donjon_retry_retrying",
            "Calls that wait for a retry or are in one.",
            stats.retrying.into(),
        ));
        visit(Figure::counter("donjon_retry_retries_total", "Attempts beyond the first.", stats.retries));
        visit(Figure::counter("donjon_retry_recovered_total", "Calls that a retry has saved.", stats.recovered));
        let help = "Calls that were dropped after their first failure.";
        visit(Figure::counter("donjon_retry_cancelled_total", help, stats.cancelled));
        for reason in NoRetry::ALL {
            let help = "Calls that ended as failures, by why there was no further attempt.";
            let figure = Figure::counter("donjon_retry_failed_total", help, stats.gave_up(reason));
            visit(figure.label("reason", reason.as_str()));
        }
        self.budget().observe(visit);
    }
}
