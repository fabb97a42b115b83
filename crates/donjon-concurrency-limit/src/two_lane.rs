use std::time::Duration;

use tokio::time::Instant;

/// How often the share of late callers is looked at.
const TICK: Duration = Duration::from_millis(500);
/// Fewer arrivals than this in the window say nothing.
const ENOUGH: u64 = 20;

/// When a waiting caller counts as late, and when as hopeless: the rules of the two-lane queue, without the lanes.
///
/// Two ages decide. A caller older than the first leaves the FIFO lane for the late stack, which is served only when
/// the FIFO lane is empty, and newest first; one older than the second is refused instead of served. Both ages are
/// multiples of the service time, and the smaller pair holds while the queue is *over*: while more than 12 % of what
/// arrived in the last second has become late (until it is less than 4 %).
#[derive(Clone, Debug)]
pub(crate) struct TwoLane {
    service_time: Duration,
    over: bool,
    /// The end of the current half second; none before the first caller.
    tick: Option<Instant>,
    /// Arrivals ever, when the current half second began.
    arrivals_at_tick: u64,
    /// Late callers in the current half second, and late callers and arrivals in the one before it.
    demoted: u64,
    before: (u64, u64),
}

// ===== impl TwoLane =====

impl TwoLane {
    pub(crate) fn new(service_time: Duration) -> Self {
        Self { service_time, over: false, tick: None, arrivals_at_tick: 0, demoted: 0, before: (0, 0) }
    }

    pub(crate) fn service_time(&self) -> Duration {
        self.service_time
    }

    /// Older than this, a caller is late: 2.8 service times, or 0.4 while over.
    pub(crate) fn late_after(&self) -> Duration {
        tenths(self.service_time, if self.over { 4 } else { 28 })
    }

    /// Older than this, a late caller is refused: 9 service times, or 2.8 while over.
    pub(crate) fn hopeless_after(&self) -> Duration {
        tenths(self.service_time, if self.over { 28 } else { 90 })
    }

    /// A caller has become late.
    pub(crate) fn demote(&mut self) {
        self.demoted += 1;
    }

    /// Time passes; `arrivals` is how many callers have ever arrived, queued or not.
    ///
    /// Called late, it does what it would have done in time, as if all had arrived in the first of the half seconds
    /// that have passed.
    pub(crate) fn advance(&mut self, now: Instant, arrivals: u64) {
        let mut tick = *self.tick.get_or_insert_with(|| {
            self.arrivals_at_tick = arrivals;
            now + TICK
        });
        while now >= tick {
            let arrived = arrivals.saturating_sub(self.arrivals_at_tick);
            let (late, all) = (self.before.0 + self.demoted, self.before.1 + arrived);
            if all >= ENOUGH {
                // In whole numbers: more than 12 % late, less than 4 % late.
                if late * 100 > all * 12 {
                    self.over = true;
                } else if late * 100 < all * 4 {
                    self.over = false;
                }
            }
            self.before = (self.demoted, arrived);
            self.demoted = 0;
            self.arrivals_at_tick = arrivals;
            // Once the window is empty nothing changes however long it stays so.
            tick = if self.before == (0, 0) { now + TICK } else { tick + TICK };
        }
        self.tick = Some(tick);
    }
}

fn tenths(service_time: Duration, tenths: u32) -> Duration {
    service_time.saturating_mul(tenths) / 10
}
