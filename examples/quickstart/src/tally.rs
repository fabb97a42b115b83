//! One result for each call, counted: what became of the calls of one run.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

use crate::way::{Done, Kind};

/// The results so far.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// How many results each call has had, by its number. Anything but one is a loss.
    results: Vec<u8>,
    answered: u64,
    failed: u64,
    failed_known: u64,
    retries: u64,
    errors: BTreeMap<Kind, u64>,
    /// In microseconds; from when the call was due to its result.
    latencies: Histogram<u64>,
    slowest: Duration,
}

// ===== impl Tally =====

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            results: Vec::new(),
            answered: 0,
            failed: 0,
            failed_known: 0,
            retries: 0,
            errors: BTreeMap::new(),
            latencies: Histogram::new(3).expect("three digits are within one to five"),
            slowest: Duration::ZERO,
        }
    }

    /// A call has been offered; its number is the count of those before it.
    pub(crate) fn offered(&mut self) {
        self.results.push(0);
    }

    /// A call has had a result, so long after it was due. Only its first result counts as answered or failed.
    pub(crate) fn done(&mut self, id: u64, latency: Duration, done: Done) {
        let Some(results) = usize::try_from(id).ok().and_then(|id| self.results.get_mut(id)) else { return };
        *results = results.saturating_add(1);
        if *results > 1 {
            return;
        }
        self.retries += u64::from(done.attempts.saturating_sub(1));
        match done.result {
            Ok(()) => self.answered += 1,
            Err(kind) => {
                self.failed += 1;
                *self.errors.entry(kind).or_insert(0) += 1;
            }
        }
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        // It grows as needed, and a u64 has a bucket: it cannot fail.
        let _ = self.latencies.record(micros);
        self.slowest = self.slowest.max(latency);
    }

    /// Every call without a result fails as `interrupted`. Such a call has no latency.
    pub(crate) fn interrupt(&mut self) {
        let open = self.results.iter_mut().filter(|results| **results == 0);
        let given_up = open.map(|results| *results = 1).count() as u64;
        if given_up > 0 {
            self.failed += given_up;
            *self.errors.entry("interrupted".into()).or_insert(0) += given_up;
        }
    }

    /// Calls offered.
    pub(crate) fn calls(&self) -> u64 {
        self.results.len() as u64
    }

    /// Calls answered with 2xx and a whole body.
    pub(crate) fn answered(&self) -> u64 {
        self.answered
    }

    /// Calls that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// One of the calls that failed was for a URL that had been answered before.
    pub(crate) fn was_known(&mut self) {
        self.failed_known += 1;
    }

    /// Calls that failed though their URL had been answered before.
    pub(crate) fn failed_known(&self) -> u64 {
        self.failed_known
    }

    /// Calls without exactly one result.
    pub(crate) fn lost(&self) -> u64 {
        self.results.iter().filter(|&&results| results != 1).count() as u64
    }

    /// Times that a call was sent after its first.
    pub(crate) fn retries(&self) -> u64 {
        self.retries
    }

    /// How many failed, by kind.
    pub(crate) fn errors(&self) -> &BTreeMap<Kind, u64> {
        &self.errors
    }

    /// The time within which this share of the calls had their result, in milliseconds.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        // The histogram answers with the end of a bucket, which may lie beyond the slowest call.
        (self.latencies.value_at_quantile(share) as f64 / 1_000.0).min(self.max_ms())
    }

    /// The time of the slowest call, in milliseconds.
    pub(crate) fn max_ms(&self) -> f64 {
        self.slowest.as_secs_f64() * 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Tally;
    use crate::way::Done;

    fn good() -> Done {
        Done { result: Ok(()), attempts: 1 }
    }

    fn bad() -> Done {
        Done { result: Err("status-500".into()), attempts: 4 }
    }

    #[test]
    fn every_call_is_answered_failed_or_lost() {
        let mut tally = Tally::new();
        (0..5).for_each(|_| tally.offered());
        tally.done(0, Duration::from_millis(2), good());
        tally.done(1, Duration::from_millis(9), bad());
        tally.done(2, Duration::from_millis(3), good());
        assert_eq!((tally.calls(), tally.answered(), tally.failed(), tally.lost()), (5, 2, 1, 2));
        assert_eq!(tally.retries(), 3);
        assert_eq!(tally.errors()["status-500"], 1);
        assert_eq!(tally.max_ms(), 9.0);
        assert!((tally.quantile_ms(0.5) - 3.0).abs() < 0.01);
        assert_eq!(tally.quantile_ms(0.99), 9.0);
    }

    #[test]
    fn a_second_result_is_a_loss_and_an_unknown_call_is_nobodys() {
        let mut tally = Tally::new();
        tally.offered();
        tally.done(0, Duration::ZERO, good());
        assert_eq!(tally.lost(), 0);
        tally.done(0, Duration::ZERO, good());
        tally.done(7, Duration::ZERO, good());
        assert_eq!((tally.answered(), tally.lost()), (1, 1));
    }

    #[test]
    fn an_interrupt_gives_a_result_to_those_without_one() {
        let mut tally = Tally::new();
        (0..3).for_each(|_| tally.offered());
        tally.done(1, Duration::from_millis(1), good());
        tally.interrupt();
        assert_eq!((tally.answered(), tally.failed(), tally.lost()), (1, 2, 0));
        assert_eq!(tally.errors()["interrupted"], 2);
        assert_eq!(tally.max_ms(), 1.0);
    }
}
