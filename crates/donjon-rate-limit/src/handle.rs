use std::fmt;

use donjon_core::{OutOfRange, state_changed};

use crate::{LocalLimiter, Rate};

/// The operator's end of a rate limit: its knobs while it runs, and its figures.
///
/// It stays valid when every layer and service of the limit is gone.
#[derive(Clone)]
pub struct Handle {
    limiter: LocalLimiter,
}

/// Figures of a rate limit, over all clones of the layer and all services it has made.
///
/// Each is exact; read while calls come and go, they need not be of the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many tokens there are now.
    pub available: u64,
    /// The most tokens that there can be: 0 while everything is refused, and no more than come back within two years.
    pub burst: u64,
    /// How many calls wait for their turn.
    pub waiting: usize,
    /// How many calls may wait.
    pub queue: usize,
    /// How many calls went on, at once or at their turn.
    pub admitted: u64,
    /// How many of them had waited.
    pub waited: u64,
    /// How many calls were refused by the rate. Those whose deadline had passed at the door are not among them.
    pub refused: u64,
    /// How many calls gave up their turn: dropped while they waited, or too late at it for their deadline.
    pub cancelled: u64,
}

// ===== impl Handle =====

impl Handle {
    pub(crate) fn new(limiter: LocalLimiter) -> Self {
        Self { limiter }
    }

    /// The rate now.
    pub fn rate(&self) -> Rate {
        self.limiter.rate()
    }

    /// Another rate and burst, from now on.
    ///
    /// - What has been taken stays taken: as many tokens as were missing are missing of the new burst, up to all of
    ///   them, and come back at the new rate. So a higher rate helps at once, a higher burst gives the difference at
    ///   once, and a lower one takes it away.
    /// - Calls that wait keep their turns, as they were promised, and calls that come are behind them, but for the tokens
    ///   that a higher burst gives at once. A rate or a burst of 0 refuses everybody from now on, and those who wait when
    ///   their turn comes.
    /// - A pause, that is a rate or a burst of 0 for a while, gives nothing: what was missing is missing after it, apart
    ///   from what comes back at a rate whose burst alone is 0, and no turn is given a second time.
    ///
    /// So over any window of time, of the calls that have come in it, no more start than the burst at its beginning, what
    /// changes have added to the burst since, and `rate × window`. The rate of each moment is the highest of the one that
    /// holds and of those by which turns were promised that are still to come. A burst that is lowered and raised again
    /// gives the difference each time.
    ///
    /// # Errors
    ///
    /// If a token of this rate takes more than two years, or the bucket takes more than two years to fill: a
    /// [`Rate`] that a layer is made with is taken for two years instead.
    pub fn set_rate(&self, rate: Rate) -> Result<(), OutOfRange> {
        if !rate.is_in_range() {
            return Err(OutOfRange::new("rate", rate, "so that its burst comes back within two years"));
        }
        self.limiter.set_rate(rate);
        state_changed("rate-limit", "rate", rate);
        Ok(())
    }

    /// How many calls may wait from now on; 0 lets nobody wait. Those who wait already stay.
    pub fn set_queue(&self, bound: usize) {
        self.limiter.set_queue(bound);
        state_changed("rate-limit", "queue", bound);
    }

    /// The figures now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let figures = self.limiter.figures();
        Stats {
            available: figures.available,
            burst: figures.burst,
            waiting: figures.waiting,
            queue: self.limiter.queue(),
            admitted: figures.admitted,
            waited: figures.waited,
            refused: figures.refused,
            cancelled: figures.cancelled,
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("stats", &self.stats()).finish()
    }
}
