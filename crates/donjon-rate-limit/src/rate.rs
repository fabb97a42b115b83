use std::{fmt, time::Duration};

/// How much per time: so many tokens each period, and so many at once.
///
/// A call takes one token, unless the layer is told otherwise. Tokens come back evenly, one each `period / tokens`, up to
/// the burst; a limit begins with all of them. Over any window of time it admits no more than
/// `burst + window × tokens / period`.
///
/// # Every value means something
///
/// - The burst is the number of tokens of one period, unless said: `Rate::per_second(20)` admits 20 at once, and
///   `Rate::per_hour(20)` as well.
/// - No tokens, or a burst of 0: everything is refused, for good.
/// - A period of no length: tokens come back at once, so that nothing is refused but what costs more than the burst.
/// - A token takes two years at the most, and a bucket takes two years at the most to fill: what would take longer is
///   taken for that.
///
/// Rates up to 65,536 tokens a period are exact, as long as the bucket fills within 18 minutes (and, where a limit is set
/// to it while running, nobody waits for longer than that), and so are all others whose tokens take a whole number of
/// nanoseconds each. What is left is slower than asked by less than one part in a million, up to sixty million tokens a
/// second, and never faster.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_rate_limit::Rate;
///
/// let rate = Rate::per_second(20).burst(60);
/// assert_eq!(rate, Rate::per(20, Duration::from_secs(1)).burst(60));
/// assert_eq!(Rate::per_minute(100).to_string(), "100 per 60s, burst 100");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub struct Rate {
    tokens: u64,
    period: Duration,
    burst: u64,
}

// ===== impl Rate =====

impl Rate {
    /// So many tokens each second.
    pub const fn per_second(tokens: u64) -> Self {
        Self::per(tokens, Duration::from_secs(1))
    }

    /// So many tokens each minute.
    pub const fn per_minute(tokens: u64) -> Self {
        Self::per(tokens, Duration::from_secs(60))
    }

    /// So many tokens each hour.
    pub const fn per_hour(tokens: u64) -> Self {
        Self::per(tokens, Duration::from_secs(3600))
    }

    /// So many tokens each `period`.
    pub const fn per(tokens: u64, period: Duration) -> Self {
        Self { tokens, period, burst: tokens }
    }

    /// So many tokens at once, when none were taken for a while. The number of tokens of one period, unless said.
    pub const fn burst(mut self, tokens: u64) -> Self {
        self.burst = tokens;
        self
    }

    /// How many tokens come back each period.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The period.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// The most tokens that there can be at once.
    #[must_use]
    pub const fn max_burst(&self) -> u64 {
        self.burst
    }

    /// Whether it is taken as it is: what takes longer than two years is not.
    pub(crate) fn is_in_range(&self) -> bool {
        const TWO_YEARS: u128 = 2 * 365 * 86_400 * 1_000_000_000;
        let nanos = self.period.as_nanos();
        self.tokens == 0 || nanos.saturating_mul(u128::from(self.burst.max(1))) / u128::from(self.tokens) <= TWO_YEARS
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rate({self})")
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {:?}, burst {}", self.tokens, self.period, self.burst)
    }
}
