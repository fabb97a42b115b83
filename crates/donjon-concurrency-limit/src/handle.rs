use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use donjon_core::{OutOfRange, state_changed};

use crate::{state::Limiter, word::LIMIT};

/// The operator's end of a concurrency limit: its knobs while it runs, and its figures.
///
/// It stays valid when every layer and service of the limit is gone.
#[derive(Clone)]
pub struct Handle {
    limiter: Arc<Limiter>,
}

/// Figures of a concurrency limit, over all clones of the layer and all services it has made.
///
/// Each is exact; read while calls come and go, they need not be of the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many may be in flight.
    pub max: usize,
    /// How many may wait.
    pub queue: usize,
    /// How many are in flight: each holds a permit.
    pub in_flight: usize,
    /// How many wait for a permit.
    pub queued: usize,
    /// The most that have been in flight at once.
    pub max_in_flight: usize,
    /// How many have been given a permit, at once or after waiting.
    pub admitted: u64,
    /// How many were refused without having waited as long as they may: no room in the queue, a limit of 0, a wait of
    /// 0, a deadline that had passed at the door, or the rules of the two-lane queue.
    pub refused: u64,
    /// How many gave up after having waited: for the longest wait, or up to their deadline. One whose turn came
    /// after its deadline is among the admitted as well.
    pub timed_out: u64,
    /// How many were dropped while they waited.
    pub cancelled_queued: u64,
    /// How many were admitted, and dropped before they had answered. A panic counts as a drop.
    pub cancelled_running: u64,
}

// ===== impl Handle =====

impl Handle {
    pub(crate) fn new(limiter: Arc<Limiter>) -> Self {
        Self { limiter }
    }

    /// How many may be in flight from now on. 0 refuses everybody, those who wait included.
    ///
    /// More room goes to those who wait at once. Less ends nothing that runs: nobody is admitted until so many have
    /// left.
    ///
    /// # Errors
    ///
    /// If `max` is above 16,777,215.
    pub fn set_max(&self, max: usize) -> Result<(), OutOfRange> {
        in_range("limit of calls in flight", max)?;
        self.limiter.set_max(max);
        state_changed("concurrency-limit", "max", max);
        Ok(())
    }

    /// How many may wait from now on; 0 lets nobody wait. Those who wait already stay.
    ///
    /// # Errors
    ///
    /// If `queue` is above 16,777,215.
    pub fn set_queue(&self, queue: usize) -> Result<(), OutOfRange> {
        in_range("bound of the queue", queue)?;
        self.limiter.set_bound(queue);
        state_changed("concurrency-limit", "queue", queue);
        Ok(())
    }

    /// The figures now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let limiter = &*self.limiter;
        let counters = &limiter.counters;
        let word = limiter.word();
        Stats {
            max: limiter.max(),
            queue: limiter.bound(),
            in_flight: word.in_flight() as usize,
            queued: word.queued() as usize,
            max_in_flight: limiter.peak(),
            admitted: limiter.admitted(),
            refused: counters.refused.load(Ordering::Relaxed),
            timed_out: counters.timed_out.load(Ordering::Relaxed),
            cancelled_queued: counters.cancelled_queued.load(Ordering::Relaxed),
            cancelled_running: counters.cancelled_running.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("stats", &self.stats()).finish()
    }
}

fn in_range(name: &'static str, value: usize) -> Result<(), OutOfRange> {
    if value > LIMIT as usize {
        return Err(OutOfRange::new(name, value, "at most 16777215"));
    }
    Ok(())
}
