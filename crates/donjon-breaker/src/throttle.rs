use std::time::Duration;

use donjon_core::Ratio;

/// Client throttling: refuses a growing share of the calls as the service accepts fewer of them, and is never quite open.
///
/// A call is refused with the probability `max(0, (requests - accepts / healthy) / (requests + 1)) ^ (1 / aggression)`,
/// where requests and accepts are those of the last `window`, and `healthy` is the share of calls that succeed while
/// all is well enough.
///
/// Sources: Site Reliability Engineering, chapter 21, "Client-Side Throttling", where `1 / healthy` is called K;
/// Envoy's admission control filter.
///
/// # Example
///
/// ```
/// use donjon_breaker::{BreakerLayer, Throttle};
///
/// let breaker = BreakerLayer::throttling(Throttle::sre());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Throttle {
    healthy: Ratio,
    aggression: u32,
    max_refused: Ratio,
    pub(crate) window: Duration,
    pub(crate) count_refused: bool,
}

// ===== impl Throttle =====

impl Throttle {
    /// As in the SRE book: K = 2 (half of the calls succeed), over two minutes; calls that were refused here count as
    /// requests.
    pub fn sre() -> Self {
        Self {
            healthy: Ratio::new(0.5).expect("0.5 is from 0 to 1"),
            aggression: 1,
            max_refused: Ratio::ONE,
            window: Duration::from_secs(120),
            count_refused: true,
        }
    }

    /// As Envoy's admission control: 95 % succeed, over 30 s, refuses at most 80 %; only calls that were sent count.
    pub fn envoy() -> Self {
        Self {
            healthy: Ratio::new(0.95).expect("0.95 is from 0 to 1"),
            aggression: 1,
            max_refused: Ratio::new(0.8).expect("0.8 is from 0 to 1"),
            window: Duration::from_secs(30),
            count_refused: false,
        }
    }

    /// Refuses while less than this share of the calls succeeds. With 0 none is refused.
    pub const fn healthy(mut self, share: Ratio) -> Self {
        self.healthy = share;
        self
    }

    /// How much more is refused: the probability's root of this degree. Default 1, which leaves it as it is; with 0 none
    /// is refused.
    pub const fn aggression(mut self, degree: u32) -> Self {
        self.aggression = degree;
        self
    }

    /// At most this share is refused, so that the service is seen to recover. With 0 none is refused.
    pub const fn max_refused(mut self, share: Ratio) -> Self {
        self.max_refused = share;
        self
    }

    /// Over how much time calls are counted; they are forgotten in steps of a tenth of it. With no time none is refused.
    pub const fn window(mut self, time: Duration) -> Self {
        self.window = time;
        self
    }

    /// The probability with which a call is refused after so many requests, of which so many were accepted.
    #[must_use]
    pub fn probability(&self, requests: u64, accepts: u64) -> f64 {
        if self.healthy == Ratio::ZERO || self.aggression == 0 {
            return 0.0;
        }
        let (requests, accepts) = (requests as f64, accepts as f64);
        let excess = (requests - accepts / self.healthy.as_f64()) / (requests + 1.0);
        let root = if self.aggression == 1 { excess } else { excess.max(0.0).powf(1.0 / f64::from(self.aggression)) };
        root.clamp(0.0, self.max_refused.as_f64())
    }

    /// Whether this random word refuses a call.
    pub(crate) fn refuses(&self, requests: u64, accepts: u64, random: impl FnOnce() -> u64) -> bool {
        let probability = self.probability(requests, accepts);
        // The upper 53 bits of a random word are a uniform number from 0 to 1, without 1.
        probability > 0.0 && ((random() >> 11) as f64 / (1_u64 << 53) as f64) < probability
    }
}

#[cfg(all(test, not(donjon_loom)))]
mod tests {
    use super::*;

    fn rounded(throttle: &Throttle, requests: u64, accepts: u64) -> f64 {
        (throttle.probability(requests, accepts) * 1000.0).round() / 1000.0
    }

    #[test]
    fn t11_of_the_sre_book() {
        let sre = Throttle::sre();
        assert_eq!([(100, 50), (100, 40), (100, 0)].map(|(all, good)| rounded(&sre, all, good)), [0.0, 0.198, 0.990]);
    }

    #[test]
    fn t11_of_envoys_admission_control() {
        let envoy = Throttle::envoy();
        assert_eq!([(100, 95), (100, 50), (100, 0)].map(|(all, good)| rounded(&envoy, all, good)), [0.0, 0.469, 0.8]);
        assert_eq!(rounded(&envoy.aggression(2), 100, 50), 0.685);
    }

    #[test]
    fn each_setting_means_something_at_zero() {
        let sre = Throttle::sre();
        assert_eq!(sre.probability(0, 0), 0.0);
        for none in [sre.healthy(Ratio::ZERO), sre.aggression(0), sre.max_refused(Ratio::ZERO)] {
            assert_eq!(none.probability(100, 0), 0.0, "{none:?}");
        }
        assert!(sre.healthy(Ratio::ONE).probability(100, 99) > 0.0);
    }

    #[test]
    fn it_refuses_as_often_as_it_says() {
        let sre = Throttle::sre();
        let mut random = fastrand::Rng::with_seed(1);
        let refused = (0..100_000).filter(|_| sre.refuses(100, 40, || random.u64(..))).count();
        assert!((19_300..20_300).contains(&refused), "{refused} of 100000 at .198");
        assert!(!sre.refuses(100, 50, || unreachable!("no lot is drawn where none is refused")));
    }
}
