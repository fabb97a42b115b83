/// How the capacity is divided, so that each part can be locked by itself and the largest entry fits into one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shards {
    /// A power of two.
    pub(crate) count: usize,
    /// The weight of all shards together: at most the capacity, and a multiple of `count`.
    pub(crate) capacity: u64,
    /// Which share of a shard is for what has been asked for more than once.
    pub(crate) hot: f64,
    /// At least 32 for each shard: the engine would take fewer shards otherwise.
    pub(crate) entries: usize,
}

/// The engine's own default share of what has been asked for more than once.
const HOT: f64 = 0.97;
/// Hashing spreads few entries unevenly: a shard is made for so many at least.
const ENTRIES_PER_SHARD: u64 = 64;
/// The engine reduces the number of shards below this.
const ENGINE_ENTRIES_PER_SHARD: usize = 32;

impl Shards {
    /// At most `wanted` shards for this capacity, so that an entry of weight `largest` (at most the capacity) fits.
    pub(crate) fn new(wanted: usize, capacity: u64, largest: u64, entries: u64) -> Self {
        let mut count = wanted.clamp(1, 1 << 16).next_power_of_two();
        while count > 1
            && (admits(capacity / count as u64, HOT) < largest || entries / (count as u64) < ENTRIES_PER_SHARD)
        {
            count /= 2;
        }
        let share = capacity / count as u64;
        let hot = if admits(share, HOT) < largest { 1.0 } else { HOT };
        let entries = usize::try_from(entries.min(u64::from(u32::MAX))).unwrap_or(usize::MAX);
        Self { count, capacity: share * count as u64, hot, entries: entries.max(count * ENGINE_ENTRIES_PER_SHARD) }
    }
}

/// The heaviest entry that a shard of this capacity takes: the engine refuses, without a word, what is heavier than the
/// hot part of a shard. The arithmetic is its own.
fn admits(share: u64, hot: f64) -> u64 {
    ((share as f64 * hot) as u64).clamp(share.min(1), share)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_largest_entry_fits_into_a_shard(
            wanted in 0_usize..600,
            capacity in prop_oneof![0_u64..5_000, any::<u64>().prop_map(|it| it >> 11)],
            part in 0_u64..=64,
            entries in prop_oneof![0_u64..100_000, any::<u64>()],
        ) {
            let largest = (capacity / 64).saturating_mul(part).min(capacity);
            let shards = Shards::new(wanted, capacity, largest, entries);
            prop_assert!(shards.count.is_power_of_two());
            prop_assert!(shards.capacity <= capacity);
            prop_assert!(capacity - shards.capacity < shards.count as u64);
            prop_assert!(admits(shards.capacity / shards.count as u64, shards.hot) >= largest);
            prop_assert!(shards.entries / shards.count >= ENGINE_ENTRIES_PER_SHARD);
        }
    }

    #[test]
    fn as_many_shards_as_are_wanted_if_there_is_room() {
        assert_eq!(Shards::new(8, 10_000, 1, 10_000).count, 8);
        assert_eq!(Shards::new(5, 10_000, 1, 10_000).count, 8);
        assert_eq!(Shards::new(8, 10_000, 1_213, 10_000).count, 4);
        assert_eq!(Shards::new(8, 10_000, 1_212, 10_000).count, 8);
        assert_eq!(
            Shards::new(8, 10_000, 10_000, 10_000),
            Shards { count: 1, capacity: 10_000, hot: 1.0, entries: 10_000 }
        );
        assert_eq!(Shards::new(8, 100, 1, 100).count, 1);
    }
}
