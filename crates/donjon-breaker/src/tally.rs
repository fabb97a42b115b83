use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use crate::{
    gate::Verdict,
    sync::AtomicU64,
    throttle::Throttle,
    trip::{Rates, Rule, Score, Span, Window},
    window::{CallWindow, Sample, Sums, TimeWindow, change},
    word::{Counts, Word},
};

/// How the calls of a closed circuit are counted, and when they open it.
#[derive(Debug)]
pub(crate) enum Tally {
    Score(Score),
    Calls(Rates, CallWindow),
    Time(Rates, TimeWindow),
    /// Never opens it: refuses by chance.
    Throttle(Throttle, TimeWindow),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tallied {
    Counted {
        /// It failed, and nothing that failed before counts beside it.
        first: bool,
        trips: bool,
    },
    /// The epoch is over.
    Late,
}

// ===== impl Tally =====

impl Tally {
    pub(crate) fn new(rule: Rule) -> Self {
        match rule {
            Rule::Score(score) => Self::Score(score),
            Rule::Rates(rates) => match rates.window.0 {
                Span::Calls(calls) => Self::Calls(rates, CallWindow::new(calls)),
                Span::Time(time) => Self::Time(rates, TimeWindow::new(time)),
            },
        }
    }

    pub(crate) fn throttle(throttle: Throttle) -> Self {
        Self::Throttle(throttle, TimeWindow::new(throttle.window))
    }

    pub(crate) fn fresh(&self) -> Self {
        match self {
            Self::Score(score) => Self::Score(*score),
            Self::Calls(rates, _) | Self::Time(rates, _) => Self::new(Rule::Rates(*rates)),
            Self::Throttle(throttle, _) => Self::throttle(*throttle),
        }
    }

    /// For how long a call counts; zero where that is a number of calls.
    pub(crate) const fn memory(&self) -> Duration {
        match self {
            Self::Time(Rates { window: Window(Span::Time(time)), .. }, _) => *time,
            Self::Throttle(throttle, _) => throttle.window,
            _ => Duration::ZERO,
        }
    }

    /// Whether calls are to be timed.
    pub(crate) const fn times(&self) -> bool {
        matches!(self, Self::Calls(Rates { slow: Some(_), .. }, _) | Self::Time(Rates { slow: Some(_), .. }, _))
    }

    #[inline]
    pub(crate) const fn throttles(&self) -> bool {
        matches!(self, Self::Throttle(..))
    }

    /// Whether a success in this closed epoch would change nothing.
    #[inline]
    pub(crate) fn is_untouched_by_success(&self, word: &AtomicU64, epoch: u32) -> bool {
        match self {
            Self::Score(_) => {
                let word = Word(word.load(Relaxed));
                word.is_closed_in(epoch) && word.data() == 0
            }
            _ => false,
        }
    }

    /// What a probe has shown: a slow one has failed, where slow calls open the circuit.
    pub(crate) fn strictly(&self, verdict: Verdict, took: Option<Duration>) -> Verdict {
        match verdict {
            Verdict::Success if self.sample(false, took).slow => Verdict::Failure { retry_after: None },
            verdict => verdict,
        }
    }

    /// A call of this closed epoch has ended: how, and how long it took if that was measured.
    pub(crate) fn record(
        &self,
        word: &AtomicU64,
        epoch: u32,
        failure: bool,
        took: Option<Duration>,
        elapsed: impl FnOnce() -> Duration,
    ) -> Tallied {
        let sample = self.sample(failure, took);
        // Whether no failure from before this call counts any more, and whether it trips.
        let counted = match self {
            Self::Score(score) => change(word, epoch, |data| score.next(data, failure))
                .map(|data| (failure && data <= score.failure.into(), failure && data >= score.opens_at.into())),
            Self::Calls(rates, window) => window.record(word, epoch, sample).map(|counts| {
                let trips = rates.trips(counts.calls.into(), counts.failures.into(), counts.slow.into());
                (counts.failures == u32::from(failure) && (failure || trips), trips)
            }),
            Self::Time(..) | Self::Throttle(..) if !Word(word.load(Relaxed)).is_closed_in(epoch) => None,
            Self::Time(rates, window) => {
                let sums = window.record(epoch, elapsed(), sample);
                let trips = rates.trips(sums.calls, sums.failures, sums.slow);
                Some((sums.failures == u64::from(failure) && (failure || trips), trips))
            }
            Self::Throttle(_, window) => {
                window.record(epoch, elapsed(), sample);
                Some((false, false))
            }
        };
        match counted {
            None => Tallied::Late,
            Some((first, trips)) => Tallied::Counted { first, trips },
        }
    }

    /// Whether a call is refused by chance.
    pub(crate) fn refuses(&self, epoch: u32, elapsed: Duration, random: impl FnOnce() -> u64) -> bool {
        let Self::Throttle(throttle, window) = self else {
            return false;
        };
        let sums = window.sums(epoch, elapsed);
        let refuses = throttle.refuses(sums.calls, sums.calls.saturating_sub(sums.failures), random);
        if refuses && throttle.count_refused {
            window.record(epoch, elapsed, Sample { failure: true, ..Sample::default() });
        }
        refuses
    }

    /// The score and the sums of a closed circuit.
    pub(crate) fn figures(&self, word: Word, elapsed: impl FnOnce() -> Duration) -> (u32, Sums) {
        match self {
            Self::Score(_) => (u32::try_from(word.data()).unwrap_or(u32::MAX), Sums::default()),
            Self::Calls(_, window) => {
                let Counts { calls, failures, slow } = Counts::from_data(word.data());
                let took = window.took(word.epoch());
                (0, Sums { calls: calls.into(), failures: failures.into(), slow: slow.into(), took })
            }
            Self::Time(_, window) | Self::Throttle(_, window) => (0, window.sums(word.epoch(), elapsed())),
        }
    }

    fn sample(&self, failure: bool, took: Option<Duration>) -> Sample {
        let limit = match self {
            Self::Calls(rates, _) | Self::Time(rates, _) => rates.slow.map(|slow| slow.longer_than),
            Self::Score(_) | Self::Throttle(..) => None,
        };
        Sample::new(failure, took, limit)
    }
}

// ===== impl Score =====

impl Score {
    /// The score after a call.
    pub(crate) fn next(&self, score: u64, failure: bool) -> u64 {
        if failure {
            score.saturating_add(self.failure.into()).min(self.opens_at.into())
        } else {
            score.saturating_sub(self.success.into())
        }
    }
}

#[cfg(all(test, not(donjon_loom)))]
#[path = "tally/tests.rs"]
mod tests;
