use donjon_core::{Figure, Observe};

use crate::Handle;

/// `donjon_concurrency_limit_*`: `max`, `queue_max`, `in_flight`, `in_flight_peak`, `queued` (gauges); `admitted_total`,
/// `refused_total`, `timed_out_total`, and `cancelled_total` with the label `phase` (`queue`, `attempt`).
impl Observe for Handle {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        let stats = self.stats();
        let gauge = |name, help, value: usize| Figure::gauge(name, help, value as f64);
        visit(gauge("donjon_concurrency_limit_max", "Calls that may be in flight.", stats.max));
        visit(gauge("donjon_concurrency_limit_queue_max", "Calls that may wait for a permit.", stats.queue));
        visit(gauge("donjon_concurrency_limit_in_flight", "Calls that hold a permit.", stats.in_flight));
        visit(gauge("donjon_concurrency_limit_in_flight_peak", "Most calls at once so far.", stats.max_in_flight));
        visit(gauge("donjon_concurrency_limit_queued", "Calls that wait for a permit.", stats.queued));
        visit(Figure::counter("donjon_concurrency_limit_admitted_total", "Calls that got a permit.", stats.admitted));
        visit(Figure::counter("donjon_concurrency_limit_refused_total", "Calls refused at once.", stats.refused));
        visit(Figure::counter(
            "donjon_concurrency_limit_timed_out_total",
            "Calls that waited in vain.",
            stats.timed_out,
        ));
        let cancelled = |phase, value| {
            let help = "Calls that were dropped, by whether they waited or ran.";
            Figure::counter("donjon_concurrency_limit_cancelled_total", help, value).label("phase", phase)
        };
        visit(cancelled("queue", stats.cancelled_queued));
        visit(cancelled("attempt", stats.cancelled_running));
    }
}
