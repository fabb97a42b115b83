use std::time::Duration;

/// Random numbers that repeat themselves: the same seed, the same throws.
///
/// What the script of a scene throws is kept apart from what layers throw for themselves, so that each policy of a scene
/// meets the same weather.
#[derive(Clone, Debug)]
pub struct Dice(fastrand::Rng);

// ===== impl Dice =====

impl Dice {
    /// Throws of this seed, for this purpose.
    #[must_use]
    pub fn new(seed: u64, purpose: u64) -> Self {
        Self(fastrand::Rng::with_seed(mix(seed ^ mix(purpose))))
    }

    /// The throw for one event alone (the n-th attempt of a call, say): whatever else has happened, it is the same.
    #[must_use]
    pub fn of_event(seed: u64, event: u64, nth: u64) -> Self {
        Self::new(seed, mix(event).wrapping_add(nth))
    }

    /// From 0 to less than 1.
    pub fn unit(&mut self) -> f64 {
        self.0.f64()
    }

    /// Whether an event of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.usize(..n)
    }

    /// Exponentially distributed.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Normally distributed (Box and Muller's transform).
    pub fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let (radius, angle) = ((-2.0 * (1.0 - self.unit()).ln()).sqrt(), std::f64::consts::TAU * self.unit());
        mean + deviation * radius * angle.cos()
    }

    /// So many milliseconds as a whole number of them: up or down at random, so that the mean is right.
    pub fn millis(&mut self, millis: f64) -> Duration {
        let whole = millis.max(0.0).floor();
        Duration::from_millis(whole as u64 + u64::from(self.happens(millis - whole)))
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_milliseconds_keep_the_mean() {
        let mut dice = Dice::new(1, 1);
        let mean = (0..100_000).map(|_| dice.millis(2.3).as_millis() as f64).sum::<f64>() / 1e5;
        assert!((2.29..2.31).contains(&mean), "{mean}");
    }

    #[test]
    fn an_event_has_its_own_throw() {
        let throw = |seed, event, nth| Dice::of_event(seed, event, nth).unit();
        assert_eq!(throw(1, 2, 3), throw(1, 2, 3));
        assert_ne!(throw(1, 2, 3), throw(1, 2, 4));
        assert_ne!(throw(1, 2, 3), throw(1, 3, 3));
        assert_ne!(throw(1, 2, 3), throw(2, 2, 3));
    }
}
