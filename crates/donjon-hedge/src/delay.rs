use std::{sync::Arc, time::Duration};

use donjon_core::Ratio;

/// When a call is late enough for another copy.
///
/// Times count from when the call's future is first pending: a call that is answered at once needs no clock. A timer is
/// no finer than a millisecond.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Delay {
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Learned {
        start: Duration,
    },
    /// Each from the beginning of the call, in order.
    Fixed(Arc<[Duration]>),
    Percentile(Ratio),
}

// ===== impl Delay =====

impl Delay {
    const START: Duration = Duration::from_millis(100);

    /// Where about 2 % of the calls are still out, and again at 1.6 times that: the default. It starts at 100 ms; see
    /// [`learned_from`](Self::learned_from).
    ///
    /// It moves up by a 64th when a call is late and down by so much less when one is not that the two balance at 1.9 %.
    /// From a start that is ten times too long it is there after about a thousand calls, from one that is too short after
    /// a hundred; the share of the budget bounds what that costs.
    pub const fn learned() -> Self {
        Self::learned_from(Self::START)
    }

    /// [`learned`](Self::learned), with another delay to start from: 100 us to 60 s, what is outside is taken to be the
    /// nearer end.
    pub const fn learned_from(start: Duration) -> Self {
        Self { kind: Kind::Learned { start } }
    }

    /// This long after the beginning of the call. With zero both copies are sent at once, as soon as the first is
    /// pending.
    pub fn fixed(delay: Duration) -> Self {
        Self::several([delay])
    }

    /// A copy at each of these times after the beginning of the call. With none there are no hedges.
    pub fn several(delays: impl IntoIterator<Item = Duration>) -> Self {
        let mut delays: Vec<_> = delays.into_iter().collect();
        delays.sort_unstable();
        Self { kind: Kind::Fixed(delays.into()) }
    }

    /// When this share of the calls have come back: 0.95 hedges the slowest twentieth, if the budget allows.
    ///
    /// Measured over the last 4,096 to 8,192 answers; before there were 96 nothing is late. A copy that lost, and a call that
    /// was dropped, counts as what it had lasted by then: it would have taken at least that long. This form reads the
    /// clock twice a call and holds a lock for the time of one count.
    pub const fn percentile(share: Ratio) -> Self {
        Self { kind: Kind::Percentile(share) }
    }

    /// How many copies there can be beside the first.
    pub(crate) fn copies(&self) -> u32 {
        match &self.kind {
            Kind::Learned { .. } => 2,
            Kind::Fixed(delays) => u32::try_from(delays.len()).unwrap_or(u32::MAX),
            Kind::Percentile(_) => 1,
        }
    }
}

impl Default for Delay {
    /// [`Delay::learned`].
    fn default() -> Self {
        Self::learned()
    }
}
