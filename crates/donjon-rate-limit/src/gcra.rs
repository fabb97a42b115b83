//! The generic cell rate algorithm, as arithmetic: no clock, no atomics, no service.
//!
//! A bucket is one number, the *theoretical arrival time*: when it would be full again, if nobody came. Each token takes
//! a step of time; a call that takes `c` tokens moves the number on by `c` steps, from now on at the earliest, and has
//! its turn when no more than `burst` steps are left between then and that number. That is a token bucket, written with
//! one number in place of two. Source: ITU-T I.371, the virtual scheduling algorithm, where the limit of tolerance is
//! `burst - 1` steps, since it counts from the arrival and not from the turn.
//!
//! Time is counted in units that divide a nanosecond, so that a third of a second is exact too.

use crate::Rate;

/// The most units that anything takes: to fill a bucket, to wait, to live on one base. Sums of three of them are in
/// range of a [`Word`](crate::cell::Word).
pub(crate) const SPAN: u64 = 1 << 56;

/// A bucket lives this many nanoseconds on one base, at least: 18 minutes.
const LIFE: u128 = 1 << 40;

/// A rate in units of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Units in a nanosecond. 0 where no time passes, since no tokens come back.
    pub(crate) per_nano: u64,
    /// Units that a token takes to come back. 0 where it takes no time.
    pub(crate) step: u64,
    /// The most tokens at once. 0 refuses everything.
    pub(crate) burst: u64,
}

/// What a call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is its turn.
    Now {
        /// When the bucket will be full again, with this call.
        full_at: u64,
    },
    /// Its turn comes.
    Later {
        /// When the bucket will be full again, with this call.
        full_at: u64,
        /// When its turn is.
        at: u64,
    },
    /// It never comes: the call costs more than there can ever be.
    Never,
}

// ===== impl Terms =====

impl Terms {
    pub(crate) fn new(rate: Rate) -> Self {
        Self::with_room(rate, rate.max_burst(), 0)
    }

    /// In units of which [`SPAN`] is enough for so many tokens, and for so many nanoseconds.
    fn with_room(rate: Rate, room: u64, promised: u64) -> Self {
        let (tokens, period, burst) = (rate.tokens(), rate.period().as_nanos(), rate.max_burst());
        if tokens == 0 {
            return Self { per_nano: 0, step: 1, burst: 0 };
        }
        if period == 0 {
            return Self { per_nano: 1, step: 0, burst };
        }
        // A token takes `nanos / parts` nanoseconds. In units of `1 / parts` that is a whole number, unless there would
        // be more units than a word can hold; then they are coarser, and a token takes a little longer.
        let divisor = gcd(u128::from(tokens), period);
        let (nanos, parts) = (period / divisor, u128::from(tokens) / divisor);
        let fills = nanos.saturating_mul(u128::from(room)) / parts;
        let per_nano = parts.min(u128::from(SPAN) / fills.max(u128::from(promised)).max(LIFE)).max(1);
        let step = if per_nano == parts { nanos } else { nanos.saturating_mul(per_nano).div_ceil(parts) };
        let step = u64::try_from(step).unwrap_or(SPAN).min(SPAN);
        // In range: at most as many as the tokens.
        let per_nano = u64::try_from(per_nano).unwrap_or(1);
        Self { per_nano, step, burst: burst.min(SPAN / step) }
    }

    /// What a call that costs so many tokens gets now, of a bucket that is full again at `full_at`.
    #[inline]
    pub(crate) fn turn(&self, full_at: u64, now: u64, cost: u64) -> Turn {
        if cost > self.burst || self.burst == 0 {
            return Turn::Never;
        }
        if cost == 0 {
            return Turn::Now { full_at };
        }
        // In range: none of the three is more than two spans.
        let full_at = full_at.max(now) + cost * self.step;
        let at = full_at.saturating_sub(self.full());
        if at <= now { Turn::Now { full_at } } else { Turn::Later { full_at, at } }
    }

    /// Units that the bucket takes to fill.
    #[inline]
    pub(crate) fn full(&self) -> u64 {
        self.burst * self.step
    }

    /// How many whole tokens are there now.
    #[inline]
    pub(crate) fn available(&self, full_at: u64, now: u64) -> u64 {
        let owed = full_at.saturating_sub(now);
        self.full().saturating_sub(owed).checked_div(self.step).unwrap_or(self.burst)
    }

    /// So many nanoseconds, in units.
    #[inline]
    pub(crate) fn units(&self, nanos: u64) -> u64 {
        nanos.saturating_mul(self.per_nano)
    }

    /// So many units, in nanoseconds, rounded up.
    #[inline]
    pub(crate) fn nanos(&self, units: u64) -> u64 {
        if units == 0 {
            return 0;
        }
        (units - 1).checked_div(self.per_nano).map_or(u64::MAX, |nanos| nanos + 1)
    }

    /// What a bucket that owes so many units is: units of tokens that are missing, and nanoseconds for which turns are
    /// promised, which are at least `promised`.
    ///
    /// No more than all tokens are missing, so that what is owed beyond has been promised. The other way round that does
    /// not hold: a burst that rose while calls were waiting is not yet taken.
    pub(crate) fn split(&self, owed: u64, promised: u64) -> (u64, u64) {
        let beyond = self.nanos(owed.saturating_sub(self.owed_at_most()));
        if beyond >= promised {
            (owed.min(self.owed_at_most()), beyond)
        } else {
            (owed.saturating_sub(self.units(promised)), promised)
        }
    }

    /// The terms of another rate, and what a bucket of these owes in them, with so many units missing and turns promised
    /// for so many nanoseconds.
    ///
    /// So many tokens as are missing go on to be missing, up to all of the new ones; and what has been promised keeps
    /// its time.
    pub(crate) fn carry(&self, missing: u64, promised: u64, rate: Rate) -> (Self, u64) {
        // One that refuses everything has nothing to give, and forgets nothing of what is missing.
        let room = if rate.max_burst() == 0 { self.tokens(missing) } else { rate.max_burst() };
        let mut new = Self::with_room(rate, room, promised);
        let mut carried = self.tokens_in(missing, new.step);
        if new.burst == 0 && (new.per_nano == 0 || carried > SPAN) {
            // No time passes, and what is missing stays as it is: it would take years to come back.
            new = Self { per_nano: 0, step: self.step, burst: 0 };
            carried = missing;
        }
        let owed = carried.min(new.owed_at_most()) + new.units(promised).min(SPAN);
        (new, owed)
    }

    /// So many units, in tokens, rounded up.
    fn tokens(&self, units: u64) -> u64 {
        if self.step == 0 { 0 } else { units.div_ceil(self.step) }
    }

    /// As many tokens as these units are, at so many units each, rounded up.
    fn tokens_in(&self, units: u64, step: u64) -> u64 {
        if self.step == 0 {
            return 0; // Tokens that come back at once are not missing.
        }
        let units = (u128::from(units) * u128::from(step)).div_ceil(u128::from(self.step));
        u64::try_from(units).unwrap_or(u64::MAX)
    }

    /// What an empty bucket owes. One that refuses everything has nothing to give and can still owe.
    fn owed_at_most(&self) -> u64 {
        if self.burst == 0 { SPAN } else { self.full() }
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
