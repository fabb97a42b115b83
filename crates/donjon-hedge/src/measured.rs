//! The delay that is a percentile of what was measured.

use std::{mem, time::Duration};

use donjon_core::Ratio;
use hdrhistogram::Histogram;

/// How long calls took: the last 4,096 of them, and at most as many before.
///
/// In microseconds with two significant digits; what took longer than a minute counts as a minute.
#[derive(Debug)]
pub(crate) struct Measured {
    recent: Histogram<u32>,
    older: Histogram<u32>,
    both: Histogram<u32>,
}

// ===== impl Measured =====

impl Measured {
    /// Before so many calls are known nothing is late.
    const ENOUGH: u64 = 96;
    const HALF: u64 = 4_096;
    /// The percentile is looked up once for so many calls: it is a walk over the buckets.
    const EVERY: u64 = 32;
    const LONGEST: u64 = 60_000_000;

    pub(crate) fn new() -> Self {
        let new = || Histogram::new_with_bounds(1, Self::LONGEST, 2).expect("1 to 60,000,000 with 2 digits is a range");
        Self { recent: new(), older: new(), both: new() }
    }

    /// A call took this long. Says the percentile when it was looked up anew.
    pub(crate) fn record(&mut self, took: Duration, share: Ratio) -> Option<Duration> {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).clamp(1, Self::LONGEST);
        self.recent.saturating_record(micros);
        self.both.saturating_record(micros);
        let known = self.both.len();
        let percentile = (known >= Self::ENOUGH && known.is_multiple_of(Self::EVERY))
            .then(|| Duration::from_micros(self.both.value_at_quantile(share.as_f64())));
        if self.recent.len() == Self::HALF {
            self.both.subtract(&self.older).expect("what is older was added to both");
            mem::swap(&mut self.recent, &mut self.older);
            self.recent.reset();
        }
        percentile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ninety() -> Ratio {
        Ratio::new(0.9).expect("a share")
    }

    fn last(measured: &mut Measured, calls: u64, took: impl Fn(u64) -> u64) -> Option<Duration> {
        (0..calls).filter_map(|n| measured.record(Duration::from_micros(took(n)), ninety())).last()
    }

    #[test]
    fn says_nothing_before_it_knows_enough() {
        assert_eq!(last(&mut Measured::new(), 95, |_| 1), None);
        assert!(last(&mut Measured::new(), 96, |_| 1).is_some());
    }

    #[test]
    fn says_the_percentile_to_two_digits() {
        let said = last(&mut Measured::new(), 3200, |n| 100 * (n % 100 + 1)).expect("enough").as_micros();
        assert!((9_000..=9_100).contains(&said), "{said}");
    }

    #[test]
    fn forgets_what_is_older_than_two_halves() {
        let mut measured = Measured::new();
        last(&mut measured, 20_000, |_| 1_000_000);
        let said = last(&mut measured, 2 * Measured::HALF + 64, |_| 1_000).expect("enough").as_micros();
        assert!((1_000..=1_010).contains(&said), "{said}");
        assert!(measured.both.len() <= 2 * Measured::HALF);
    }

    #[test]
    fn what_takes_for_ever_counts_as_a_minute() {
        let said = Measured::new();
        let mut said = said;
        for _ in 0..95 {
            said.record(Duration::MAX, ninety());
        }
        let said = said.record(Duration::MAX, ninety()).expect("enough");
        assert!((59..=61).contains(&said.as_secs()), "{said:?}");
    }
}
