//! Which URL a call asks for: a few are popular, most are not.

/// Zipf's law with exponent 1 over `n` ranks: rank `k` is asked for in proportion to `1 / k`.
#[derive(Clone, Debug)]
pub(crate) struct Zipf {
    /// The share of all calls that goes to ranks up to this one.
    cumulated: Vec<f64>,
}

impl Zipf {
    /// Over the ranks `0..n`; at least one.
    pub(crate) fn new(n: usize) -> Self {
        let mut sum = 0.0;
        let mut cumulated: Vec<f64> = (1..=n.max(1))
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        for share in &mut cumulated {
            *share /= sum;
        }
        Self { cumulated }
    }

    /// The rank that belongs to `u`, a number drawn evenly from 0 to 1.
    pub(crate) fn rank(&self, u: f64) -> usize {
        self.cumulated.partition_point(|&share| share <= u).min(self.cumulated.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Zipf;

    #[test]
    fn the_first_rank_is_asked_for_k_times_as_often_as_rank_k() {
        let zipf = Zipf::new(200);
        let mut counts = [0_u32; 200];
        let draws = 200_000;
        for i in 0..draws {
            counts[zipf.rank(f64::from(i) / f64::from(draws))] += 1;
        }
        for k in [2, 10, 50, 200] {
            let ratio = f64::from(counts[0]) / f64::from(counts[k - 1]);
            assert!((ratio / k as f64 - 1.0).abs() < 0.02, "rank {k}: {ratio}");
        }
    }

    #[test]
    fn the_ends_are_inside() {
        let zipf = Zipf::new(3);
        assert_eq!(zipf.rank(0.0), 0);
        assert_eq!(zipf.rank(1.0), 2);
        assert_eq!(Zipf::new(0).rank(0.5), 0);
    }
}
