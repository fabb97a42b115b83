use std::time::Duration;

use tokio::time::Instant;

/// From when a value is, until when it is fresh, and until when it may still be served stale.
///
/// A pure value: it reads no clock, and whoever asks passes the time in. Held to the nanosecond; a duration of more than
/// 584 years counts as for ever.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_store::{Freshness, Lifetime};
/// use tokio::time::Instant;
///
/// let created = Instant::now();
/// let lifetime = Lifetime::new(created, Duration::from_secs(60)).stale_for(Duration::from_secs(30));
///
/// assert_eq!(lifetime.at(created), Freshness::Fresh);
/// assert_eq!(lifetime.at(created + Duration::from_secs(60)), Freshness::Stale);
/// assert_eq!(lifetime.at(created + Duration::from_secs(90)), Freshness::Expired);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Kept instead of the creation, so that whether a value is fresh is one comparison of instants.
    fresh_until: Instant,
    /// Ages in nanoseconds; `usable >= fresh`.
    fresh: u64,
    usable: u64,
}

/// What a value is worth at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "every lifetime has these three parts")]
pub enum Freshness {
    /// Within its time.
    Fresh,
    /// Past its time, within the window in which it may still be served.
    Stale,
    /// Of no use any more.
    Expired,
}

// ===== impl Lifetime =====

impl Lifetime {
    /// Fresh for `fresh` from `created` on, and not served stale. A duration of zero is never fresh.
    #[must_use]
    pub fn new(created: Instant, fresh: Duration) -> Self {
        let mut fresh = nanos(fresh);
        let fresh_until = loop {
            match created.checked_add(Duration::from_nanos(fresh)) {
                Some(at) => break at,
                // Made within 584 years of the last instant that the clock can say.
                None => fresh /= 2,
            }
        };
        Self { fresh_until, fresh, usable: fresh }
    }

    /// The same, and after that stale for `stale`. Zero: not served stale, which is the default.
    #[must_use]
    pub fn stale_for(mut self, stale: Duration) -> Self {
        self.usable = self.fresh.saturating_add(nanos(stale));
        self
    }

    /// What the value is worth at `now`. Before its creation it counts as just created.
    ///
    /// The ends do not belong to what they end: a value that is fresh for 60 s is stale when it is 60 s old.
    #[must_use]
    #[inline]
    pub fn at(&self, now: Instant) -> Freshness {
        if self.is_fresh(now) {
            Freshness::Fresh
        } else if self.age_nanos(now) < self.usable {
            Freshness::Stale
        } else {
            Freshness::Expired
        }
    }

    /// When the value was made.
    #[must_use]
    pub fn created(&self) -> Instant {
        self.fresh_until - self.fresh_for()
    }

    /// When the value stops being fresh, or `None` if that is further off than the clock can say.
    #[must_use]
    pub fn fresh_until(&self) -> Option<Instant> {
        Some(self.fresh_until)
    }

    /// When the value stops being of any use, or `None` if that is further off than the clock can say.
    #[must_use]
    pub fn stale_until(&self) -> Option<Instant> {
        self.fresh_until.checked_add(Duration::from_nanos(self.usable - self.fresh))
    }

    /// For how long from its creation it is fresh.
    #[must_use]
    pub fn fresh_for(&self) -> Duration {
        Duration::from_nanos(self.fresh)
    }

    /// For how long from its creation it is of use, fresh or stale.
    #[must_use]
    pub fn usable_for(&self) -> Duration {
        Duration::from_nanos(self.usable)
    }

    /// How old it is at `now`; zero before its creation.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        Duration::from_nanos(self.age_nanos(now))
    }

    /// How much of its fresh time is left at `now`: zero once it is stale. What a refresh ahead of time reads.
    #[must_use]
    pub fn fresh_left(&self, now: Instant) -> Duration {
        self.fresh_until.saturating_duration_since(now).min(self.fresh_for())
    }

    #[inline]
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        // Without any fresh time it is not fresh before its creation either.
        now < self.fresh_until && self.fresh > 0
    }

    /// Whether it is of no use even when it is new.
    pub(crate) fn is_empty(&self) -> bool {
        self.usable == 0
    }

    fn age_nanos(&self, now: Instant) -> u64 {
        let late = nanos(now.saturating_duration_since(self.fresh_until));
        let early = nanos(self.fresh_until.saturating_duration_since(now));
        self.fresh.saturating_sub(early).saturating_add(late)
    }
}

#[inline]
fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}
