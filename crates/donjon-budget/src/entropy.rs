use std::fmt;

use crate::sync::{AtomicU64, Ordering};

/// A shared source of random words for jitter: SplitMix64 (Steele, Lea, Flood 2014) over one atomic counter.
///
/// It is not for secrets. One draw is one atomic addition, and is made only when something has failed. With a seed the
/// n-th draw is always the same word; which call makes the n-th draw is up to the scheduler.
///
/// # Example
///
/// ```
/// use donjon_budget::Entropy;
///
/// let (a, b) = (Entropy::seeded(1), Entropy::seeded(1));
/// assert_eq!(a.next_u64(), b.next_u64());
/// ```
pub struct Entropy {
    counter: AtomicU64,
}

// ===== impl Entropy =====

impl Entropy {
    /// Random words that nobody can repeat.
    #[must_use]
    pub fn random() -> Self {
        Self::seeded(fastrand::u64(..))
    }

    /// The same words each time.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { counter: AtomicU64::new(seed) }
    }

    /// The next word, uniform over all of `u64`.
    pub fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.counter.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Default for Entropy {
    fn default() -> Self {
        Self::random()
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entropy").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(donjon_loom)))]
mod tests {
    use super::*;

    #[test]
    fn is_splitmix64() {
        // Reference output of splitmix64.c (Vigna) from seed 1234567.
        let entropy = Entropy::seeded(1_234_567);
        assert_eq!(entropy.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(entropy.next_u64(), 3_203_168_211_198_807_973);
    }
}
