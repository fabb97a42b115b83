use std::time::Duration;

use donjon_core::Ratio;

/// How long the circuit stays open, and how it is probed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) open_for: Duration,
    pub(crate) max_open: Duration,
    pub(crate) jitter: Ratio,
    pub(crate) max_retry_after: Duration,
    pub(crate) probes: u32,
    pub(crate) lease: Duration,
}

// ===== impl Settings =====

impl Settings {
    pub(crate) fn new() -> Self {
        Self {
            open_for: Duration::from_secs(5),
            max_open: Duration::from_secs(20),
            jitter: Ratio::new(0.2).expect("0.2 is from 0 to 1"),
            max_retry_after: Duration::from_secs(600),
            probes: 3,
            lease: Duration::from_secs(30),
        }
    }

    /// The longest time that an opening may last.
    pub(crate) fn longest(&self) -> Duration {
        self.opening(u32::MAX, Some(Duration::MAX), u64::MAX)
    }

    /// How long the n-th opening in a row lasts. `random` is a uniform random word: 0 is the shortest.
    pub(crate) fn opening(&self, number: u32, retry_after: Option<Duration>, random: u64) -> Duration {
        let times = 1_u32.checked_shl(number.saturating_sub(1)).unwrap_or(u32::MAX);
        let own = self.open_for.saturating_mul(times).min(self.max_open.max(self.open_for));
        self.spread(own.max(self.heeded(retry_after.unwrap_or_default())), random)
    }

    /// How much of a `Retry-After` counts.
    pub(crate) fn heeded(&self, retry_after: Duration) -> Duration {
        retry_after.min(self.max_retry_after)
    }

    /// How long an opening lasts that has to last at least so long.
    pub(crate) fn spread(&self, least: Duration, random: u64) -> Duration {
        // In nanoseconds a duration is under 2^94: neither product is too large.
        let most = least.as_nanos() * u128::from(self.jitter.millionths()) / 1_000_000;
        let extra = (most * u128::from(random >> 32)) >> 32;
        least.saturating_add(Duration::from_nanos(u64::try_from(extra).unwrap_or(u64::MAX)))
    }
}

#[cfg(all(test, not(donjon_loom)))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn openings_double_up_to_the_longest() {
        let settings = Settings::new();
        let openings: Vec<_> = [1, 2, 3, 4, 40, u32::MAX].map(|n| settings.opening(n, None, 0).as_secs()).into();
        assert_eq!(openings, [5, 10, 20, 20, 20, 20]);
    }

    #[test]
    fn jitter_only_ever_adds() {
        let settings = Settings::new();
        assert_eq!(settings.opening(1, None, 0), 5 * SECOND);
        let longest = settings.opening(1, None, u64::MAX);
        assert!(longest > Duration::from_millis(5999) && longest <= 6 * SECOND, "{longest:?}");
        let half = settings.opening(1, None, u64::MAX / 2);
        assert!(half > Duration::from_millis(5499) && half < Duration::from_millis(5501), "{half:?}");
    }

    #[test]
    fn retry_after_is_kept_whole_and_spread_upwards_within_its_bound() {
        let settings = Settings::new();
        assert_eq!(settings.opening(1, Some(SECOND), 0), 5 * SECOND, "never shorter than without");
        assert_eq!(settings.opening(1, Some(60 * SECOND), 0), 60 * SECOND);
        assert!(settings.opening(1, Some(60 * SECOND), u64::MAX) > 71 * SECOND);
        assert_eq!(settings.opening(1, Some(Duration::MAX), 0), 600 * SECOND);
    }

    #[test]
    fn each_setting_means_something_at_zero_and_at_the_most() {
        let zero = Settings { open_for: Duration::ZERO, ..Settings::new() };
        assert_eq!(zero.opening(7, None, u64::MAX), Duration::ZERO);
        let most = Settings {
            open_for: Duration::MAX,
            max_open: Duration::MAX,
            max_retry_after: Duration::MAX,
            jitter: Ratio::ONE,
            ..Settings::new()
        };
        assert_eq!(most.opening(u32::MAX, Some(Duration::MAX), u64::MAX), Duration::MAX);
        let short = Settings { max_open: SECOND, ..Settings::new() };
        assert_eq!(short.opening(9, None, 0), 5 * SECOND, "the longest is at least the first");
    }
}
