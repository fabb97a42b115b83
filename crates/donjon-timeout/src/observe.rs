use donjon_core::{Figure, Observe};

use crate::TimeoutHandle;

/// `donjon_timeout_seconds` (a gauge; infinite if there is none), and `donjon_timeout_expired_total` with the label `phase`
/// (`admission`, `ready`, `attempt`, `body`).
impl Observe for TimeoutHandle {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        let stats = self.stats();
        let seconds = self.timeout().map_or(f64::INFINITY, |timeout| timeout.as_secs_f64());
        visit(Figure::gauge("donjon_timeout_seconds", "How long a call may take.", seconds));
        let phases =
            [("admission", stats.admission), ("ready", stats.ready), ("attempt", stats.attempt), ("body", stats.body)];
        for (phase, value) in phases {
            let help = "Calls given up for time, by the phase that they were in.";
            visit(Figure::counter("donjon_timeout_expired_total", help, value).label("phase", phase));
        }
    }
}
