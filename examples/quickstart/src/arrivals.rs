//! When the calls come, and for what: open loop, so a slow answer delays nobody's arrival.

use std::time::Duration;

use crate::{
    cli::LONGEST,
    seed::{self, Stream},
    zipf::Zipf,
};

/// How many different URLs there are.
pub(crate) const ITEMS: usize = 200;

/// A call that is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrival {
    /// Its number: 0, 1, 2, …
    pub(crate) id: u64,
    /// How long after the start.
    pub(crate) at: Duration,
    /// Which URL, `0..ITEMS`.
    pub(crate) item: usize,
}

/// The arrivals of one run: a Poisson process of a given rate, over URLs by Zipf. The same for the same seed.
#[derive(Debug)]
pub(crate) struct Arrivals {
    next: u64,
    calls: u64,
    rate: f64,
    at: f64,
    gaps: fastrand::Rng,
    urls: fastrand::Rng,
    zipf: Zipf,
}

impl Arrivals {
    /// `calls` calls at `rate` a second.
    pub(crate) fn new(calls: u64, rate: f64, seed: u64) -> Self {
        Self {
            next: 0,
            calls,
            rate,
            at: 0.0,
            gaps: seed::rng(seed, Stream::Arrivals),
            urls: seed::rng(seed, Stream::Urls),
            zipf: Zipf::new(ITEMS),
        }
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        if self.next == self.calls {
            return None;
        }
        let id = self.next;
        self.next += 1;
        // The gaps of a Poisson process are exponential. `1 - u` is never 0.
        self.at += -(1.0 - self.gaps.f64()).ln() / self.rate;
        let at = Duration::try_from_secs_f64(self.at).unwrap_or(LONGEST).min(LONGEST);
        Some(Arrival { id, at, item: self.zipf.rank(self.urls.f64()) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrivals, ITEMS};

    #[test]
    fn the_rate_is_kept_and_gaps_vary_as_those_of_a_poisson_process() {
        let all: Vec<_> = Arrivals::new(20_000, 200.0, 7).collect();
        assert_eq!(all.len(), 20_000);
        let seconds = all.last().unwrap().at.as_secs_f64();
        assert!((seconds - 100.0).abs() < 3.0, "{seconds}");
        let gaps: Vec<f64> = all.windows(2).map(|w| (w[1].at - w[0].at).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "an exponential gap varies by its own mean");
        assert!(all.iter().all(|a| a.item < ITEMS));
    }

    #[test]
    fn the_seed_moves_arrivals_and_urls() {
        let run = |seed| Arrivals::new(100, 200.0, seed).collect::<Vec<_>>();
        assert_eq!(run(1), run(1));
        assert!(run(1).iter().zip(run(2)).all(|(a, b)| a.at != b.at));
        assert!(run(1).iter().zip(run(2)).any(|(a, b)| a.item != b.item));
    }
}
