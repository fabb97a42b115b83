use donjon_core::{Criticality, Deadline, Scope};
use tokio::time::Instant;

/// What a caller's ambient scope grants to a call that it polls: its time, and its importance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means {
    pub(crate) deadline: Deadline,
    pub(crate) criticality: Criticality,
}

/// What a call has failed for want of: what those had that have driven it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    Time(Instant),
    Importance(Criticality),
}

// ===== impl Means =====

impl Means {
    /// Nobody has more.
    pub(crate) const MOST: Self = Self { deadline: Deadline::never(), criticality: Criticality::CriticalPlus };

    /// What is assumed of one of whom nothing is known.
    pub(crate) const UNKNOWN: Self = Self { deadline: Deadline::never(), criticality: Criticality::Critical };

    /// Those of the work that is running now. A lazy deadline is fixed by this.
    #[inline]
    pub(crate) fn current() -> Self {
        Self { deadline: Deadline::current(), criticality: Scope::current().criticality() }
    }

    /// What both have.
    pub(crate) fn least(self, other: Self) -> Self {
        Self { deadline: self.deadline.earlier(other.deadline), criticality: self.criticality.min(other.criticality) }
    }

    /// Whether there is as much here as there.
    pub(crate) fn cover(self, other: Self) -> bool {
        let in_time = match (self.deadline.instant(), other.deadline.instant()) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => own >= other,
        };
        in_time && self.criticality >= other.criticality
    }

    /// Whether there is more here than what was lacking.
    pub(crate) fn exceed(self, lack: Lack) -> bool {
        match lack {
            Lack::Time(at) => self.deadline.instant().is_none_or(|own| own > at),
            Lack::Importance(criticality) => self.criticality > criticality,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn as_much_is_as_much_in_both() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let of = |deadline, criticality| Means { deadline, criticality };
        let never = Deadline::never();
        let some = of(Deadline::at(now), Criticality::Critical);
        assert!(some.cover(some) && Means::MOST.cover(some) && Means::MOST.cover(Means::MOST));
        assert!(of(Deadline::at(later), Criticality::Critical).cover(some));
        assert!(!some.cover(of(Deadline::at(later), Criticality::Critical)));
        assert!(!some.cover(of(never, Criticality::Critical)));
        assert!(!of(never, Criticality::Sheddable).cover(some));
        assert!(of(never, Criticality::CriticalPlus).cover(some));
        let least = some.least(of(never, Criticality::Sheddable));
        assert_eq!((least.deadline, least.criticality), (Deadline::at(now), Criticality::Sheddable));
    }

    #[test]
    fn more_is_more_of_what_was_lacking() {
        let now = Instant::now();
        let some = Means { deadline: Deadline::at(now), criticality: Criticality::Critical };
        assert!(!some.exceed(Lack::Time(now)) && some.exceed(Lack::Time(now - Duration::from_nanos(1))));
        assert!(Means::MOST.exceed(Lack::Time(now)));
        assert!(!some.exceed(Lack::Importance(Criticality::Critical)));
        assert!(some.exceed(Lack::Importance(Criticality::SheddablePlus)));
    }
}
