use std::time::Duration;

use donjon_core::Ratio;

/// When a closed circuit opens.
///
/// | | opens | cost of a success |
/// |---|---|---|
/// | [`score`](Self::score) (the default) | at a score of 27: +4 for a failure, -1 for a success | a load, while the score is 0 |
/// | [`consecutive`](Self::consecutive) | at so many failures in a row | a load, while there is none |
/// | [`failure_rate`](Self::failure_rate) | when this share of a [`Window`] has failed | two atomic steps and more |
/// | [`slow_rate`](Self::slow_rate) | when this share of a [`Window`] was slow | the same, and two looks at the clock |
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_breaker::{BreakerLayer, Trip, Window};
/// use donjon_core::Ratio;
///
/// let half = Ratio::new(0.5)?;
/// let trip = Trip::failure_rate(Window::time(Duration::from_secs(10)), half)
///     .or_slow(Duration::from_secs(2), half)
///     .min_calls(50);
/// let breaker = BreakerLayer::new().trip(trip);
/// # Ok::<(), donjon_core::OutOfRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Trip(pub(crate) Rule);

/// Which calls a rate is taken of: the last ones, by number or by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Window(pub(crate) Span);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Score(Score),
    Rates(Rates),
}

/// An integer that failures raise and successes lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Score {
    pub(crate) failure: u32,
    pub(crate) success: u32,
    pub(crate) opens_at: u32,
}

/// Shares of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) window: Window,
    pub(crate) failures: Option<Ratio>,
    pub(crate) slow: Option<Slow>,
    pub(crate) min_calls: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slow {
    pub(crate) longer_than: Duration,
    pub(crate) share: Ratio,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Calls(u32),
    Time(Duration),
}

// ===== impl Trip =====

impl Trip {
    const MIN_CALLS: u32 = 20;

    /// A sequential test: a failure adds 4 to a score and a success takes 1 away, down to 0; at 27 the circuit opens.
    ///
    /// It needs no window, no least number of calls and no clock. How it behaves where calls fail independently:
    ///
    /// | failing | 100 % | 50 % | 30 % | 20 % | 6 % | 5 % | 4 % |
    /// |---|---|---|---|---|---|---|---|
    /// | calls until it opens, from a score of 0, in the median | 7 | 17 | 42 | 152 | | | |
    /// | false openings in ten million calls | | | | | 3.19 | 0.663 | 0.10 |
    ///
    /// The figures are exact: they are those of the Markov chain that the score is, and a test computes them.
    pub const fn score() -> Self {
        Self(Rule::Score(Score { failure: 4, success: 1, opens_at: 27 }))
    }

    /// Opens when so many calls in a row have failed. 0 and 1 both open at the first failure.
    ///
    /// An outage opens it at once, and a share of failures hardly ever: at 30 % five in a row take some 500 calls.
    pub const fn consecutive(failures: u32) -> Self {
        let opens_at = if failures == 0 { 1 } else { failures };
        Self(Rule::Score(Score { failure: 1, success: u32::MAX, opens_at }))
    }

    /// Opens when at least this share of the calls in the window has failed; a share of 0 opens at any failure.
    pub const fn failure_rate(window: Window, share: Ratio) -> Self {
        Self(Rule::Rates(Rates { window, failures: Some(share), slow: None, min_calls: Self::MIN_CALLS }))
    }

    /// Opens when at least this share of the calls in the window has taken longer than this, whatever came of them; a
    /// share of 0 opens at any slow call.
    pub const fn slow_rate(window: Window, longer_than: Duration, share: Ratio) -> Self {
        let slow = Some(Slow { longer_than, share });
        Self(Rule::Rates(Rates { window, failures: None, slow, min_calls: Self::MIN_CALLS }))
    }

    /// Opens also when at least this share of the calls in the window has taken longer than this. Changes nothing where
    /// there is no window.
    pub const fn or_slow(mut self, longer_than: Duration, share: Ratio) -> Self {
        if let Rule::Rates(rates) = &mut self.0 {
            rates.slow = Some(Slow { longer_than, share });
        }
        self
    }

    /// Does not open before the window holds so many calls. Default 20; more than a window of calls can hold is taken for
    /// that many. Changes nothing where there is no window.
    pub const fn min_calls(mut self, calls: u32) -> Self {
        if let Rule::Rates(rates) = &mut self.0 {
            rates.min_calls = calls;
        }
        self
    }
}

impl Default for Trip {
    /// [`Trip::score`].
    fn default() -> Self {
        Self::score()
    }
}

// ===== impl Window =====

impl Window {
    /// The most calls that a window can hold.
    pub(crate) const MAX_CALLS: u32 = 4096;

    /// The last so many calls, at most 4096: more is taken for that many. One of 0 calls holds none, and never opens.
    pub const fn calls(calls: u32) -> Self {
        Self(Span::Calls(if calls > Self::MAX_CALLS { Self::MAX_CALLS } else { calls }))
    }

    /// The calls that ended in the last so much time. They are forgotten in steps of a tenth of it. One of no time holds
    /// none, and never opens.
    pub const fn time(time: Duration) -> Self {
        Self(Span::Time(time))
    }
}

// ===== impl Rates =====

impl Rates {
    /// Whether a window with these counts opens the circuit.
    pub(crate) fn trips(&self, calls: u64, failures: u64, slow: u64) -> bool {
        let least = match self.window.0 {
            Span::Calls(size) => self.min_calls.min(size),
            Span::Time(_) => self.min_calls,
        };
        let reached = |number: u64, share: Ratio| {
            number > 0 && number.saturating_mul(1_000_000) >= calls.saturating_mul(share.millionths().into())
        };
        calls >= least.into()
            && (self.failures.is_some_and(|share| reached(failures, share))
                || self.slow.is_some_and(|it| reached(slow, it.share)))
    }
}
