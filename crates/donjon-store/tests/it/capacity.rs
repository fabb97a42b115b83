//! How much is held, and what is refused.

use std::time::Duration;

use bytes::Bytes;
use donjon_core::Fresh;
use donjon_store::{Entry, MemoryStore, Stored};
use tokio::time::Instant;

fn entry<V>(value: V) -> Entry<V> {
    Entry::new(value, Instant::now()).fresh_for(Duration::from_secs(60))
}

/// Values weigh what they say, and nothing is added.
fn weighed(capacity: u64) -> donjon_store::MemoryStoreBuilder<u64, u64> {
    MemoryStore::weighing(capacity, |_: &u64, value: &u64| *value).overhead(0)
}

#[test]
fn a_capacity_of_0_stores_nothing() {
    let store = MemoryStore::new(0);
    assert_eq!(store.insert(1, entry(1)), Stored::TooHeavy { weight: 1, largest: 0 });
    assert!(store.get(&1, Instant::now()).found().is_none());
    let stats = store.stats();
    assert_eq!((stats.entries, stats.weight, stats.capacity, stats.too_heavy), (0, 0, 0, 1));
}

#[test]
fn a_capacity_of_1_holds_the_last_one() {
    let store = MemoryStore::new(1);
    for key in 0..10 {
        assert!(store.insert(key, entry(key)).is_kept());
        assert!(store.get(&key, Instant::now()).fresh().is_some());
        assert_eq!(store.stats().entries, 1);
    }
    assert_eq!(store.stats().evictions, 9);
}

#[test]
fn small_stores_hold_exactly_what_they_may() {
    for capacity in [2_u64, 3, 7, 32, 64, 100] {
        let store = MemoryStore::new(capacity);
        for key in 0..capacity {
            let _ = store.insert(key, entry(key));
        }
        assert!((0..capacity).all(|key| store.get(&key, Instant::now()).fresh().is_some()), "{capacity}");
        let _ = store.insert(capacity, entry(0));
        assert_eq!((store.stats().entries as u64, store.stats().evictions), (capacity, 1));
    }
}

#[test]
fn no_capacity_is_ever_exceeded() {
    for capacity in [10_u64, 333, 1_001, 5_003] {
        let store = MemoryStore::counting(capacity).shards(16).build();
        for key in 0..3 * capacity {
            let _ = store.insert(key, entry(key));
            assert!(store.stats().weight <= capacity);
        }
        let stats = store.stats();
        assert!(stats.capacity <= capacity && stats.capacity + 16 > capacity);
        // Hashing is not quite even: a shard may still have room.
        assert!(stats.entries as u64 * 10 >= capacity * 9, "{} of {capacity}", stats.entries);
        assert_eq!(stats.entries as u64 + stats.evictions, 3 * capacity);
    }
}

#[test]
fn values_that_weigh_nothing_weigh_one() {
    let store = weighed(100).build();
    for key in 0..1_000 {
        assert!(store.insert(key, entry(0)).is_kept());
    }
    let stats = store.stats();
    assert_eq!(stats.entries as u64, stats.weight);
    assert!(stats.weight <= 100);
}

#[test]
fn the_largest_entry_is_kept_and_one_more_is_refused() {
    for (capacity, largest) in [(100, 100), (100, 97), (100, 98), (1, 1), (10_000, 3_000), (1 << 40, 1 << 40), (64, 2)]
    {
        let store = weighed(capacity).largest(largest).shards(64).build();
        assert_eq!(store.stats().largest, largest);
        for key in 0..8 {
            assert!(store.insert(key, entry(largest)).is_kept(), "{largest} of {capacity}");
            assert!(store.get(&key, Instant::now()).fresh().is_some(), "{largest} of {capacity}");
        }
        let weight = largest + 1;
        assert_eq!(store.insert(9, entry(weight)), Stored::TooHeavy { weight, largest });
        assert_eq!(store.stats().too_heavy, 1);
        assert!(store.stats().weight <= capacity);
    }
}

#[test]
fn no_entry_is_larger_than_the_capacity() {
    let store = weighed(10).largest(1_000).build();
    assert_eq!(store.insert(1, entry(11)), Stored::TooHeavy { weight: 11, largest: 10 });
    assert!(store.insert(1, entry(10)).is_kept());
}

#[test]
fn a_largest_of_0_refuses_all() {
    let store = weighed(10).largest(0).build();
    assert_eq!(store.insert(1, entry(0)), Stored::TooHeavy { weight: 1, largest: 0 });
}

#[test]
fn a_value_too_heavy_ends_what_was_there() {
    let store = weighed(100).largest(10).build();
    let _ = store.insert(1, entry(5));
    assert_eq!(store.insert(1, entry(11)), Stored::TooHeavy { weight: 11, largest: 10 });
    assert!(store.get(&1, Instant::now()).found().is_none());
    assert_eq!(store.stats().weight, 0);
}

#[test]
fn weights_and_capacities_may_be_as_large_as_numbers_are() {
    let store = weighed(u64::MAX).largest(u64::MAX).overhead(u64::MAX).build();
    assert!(matches!(store.insert(1, entry(u64::MAX)), Stored::TooHeavy { weight: u64::MAX, .. }));
    let store = weighed(u64::MAX).largest(u64::MAX).build();
    let largest = store.stats().largest;
    for key in 0..10 {
        assert!(store.insert(key, entry(largest)).is_kept());
    }
    assert!(store.stats().weight <= store.stats().capacity);
    let counting = MemoryStore::new(u64::MAX);
    assert!(counting.insert(1, entry(1)).is_kept());
}

#[test]
fn a_replaced_value_changes_the_weight() {
    let store = weighed(100).largest(100).build();
    for weight in [5, 80, 1, 100, 0] {
        assert!(store.insert(1, entry(weight)).is_kept());
        assert_eq!((store.stats().entries, store.stats().weight), (1, weight.max(1)));
    }
    let _ = store.insert(1, entry(10));
    let _ = store.insert(2, entry(80));
    // There is no room for both any more.
    assert!(store.insert(1, entry(50)).is_kept());
    assert_eq!((store.stats().entries, store.stats().evictions, store.stats().weight), (1, 1, 50));
    assert!(store.get(&1, Instant::now()).fresh().is_some());
}

#[test]
fn a_value_that_grows_is_not_the_one_that_makes_room() {
    // The engine would choose it: it is the oldest, and nobody asked for it.
    let store = weighed(22).largest(19).build();
    for (key, weight) in [(25, 0), (0, 2), (1, 4), (25, 17)] {
        assert!(store.insert(key, entry(weight)).is_kept());
        assert!(store.get(&key, Instant::now()).fresh().is_some(), "{key}");
    }
    assert!(store.stats().weight <= 22);
}

#[test]
fn each_weighed_entry_is_charged_for_its_overhead() {
    let store: MemoryStore<u64, Bytes> =
        MemoryStore::weighing(1 << 20, |_: &u64, value: &Bytes| value.len() as u64).build();
    let _ = store.insert(1, entry(Bytes::from_static(b"12345")));
    assert_eq!(store.stats().weight, 5 + MemoryStore::<u64, Bytes>::ENTRY_OVERHEAD);
    assert_eq!(store.fresh().stats().capacity, store.stats().capacity);
}

#[test]
fn what_is_asked_for_again_outlives_a_flood() {
    let now = Instant::now();
    let store = MemoryStore::new(1_000);
    for key in 0..100 {
        let _ = store.insert(key, entry(key));
        let _ = store.get(&key, now);
    }
    for key in 1_000..50_000 {
        let _ = store.insert(key, entry(key));
        let _ = store.get(&(key % 100), now);
    }
    let left = (0..100).filter(|key| store.get(key, now).fresh().is_some()).count();
    assert!(left >= 95, "{left} of 100");
}

/// A key whose hash says little.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Poor(u64);

impl std::hash::Hash for Poor {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(0);
    }
}

#[test]
fn keys_that_hash_alike_are_kept_counted_and_evicted_like_others() {
    let store: MemoryStore<Poor, u64> = MemoryStore::counting(10).build();
    for key in 0..100 {
        assert!(store.insert(Poor(key), entry(key)).is_kept());
        assert_eq!(store.get(&Poor(key), Instant::now()).fresh().map(|it| it.into_value()), Some(key));
        let stats = store.stats();
        assert_eq!(stats.entries as u64 + stats.evictions, key + 1);
    }
    // Several go for one that is heavier.
    let store = MemoryStore::weighing(100, |_: &Poor, value: &u64| *value).overhead(0).largest(100).build();
    for round in 0..50 {
        let weight = if round % 5 == 4 { 90 } else { 20 };
        assert!(store.insert(Poor(round), entry(weight)).is_kept());
        assert!(store.get(&Poor(round), Instant::now()).fresh().is_some(), "in round {round}");
        let stats = store.stats();
        assert!(stats.weight <= 100);
        assert_eq!(stats.entries as u64 + stats.evictions, round + 1, "in round {round}");
    }
}

#[test]
fn a_store_for_more_than_there_can_be_is_made_at_once() {
    let store = MemoryStore::new(u64::MAX);
    assert!(store.insert(1, entry(1)).is_kept());
    let store = MemoryStore::counting(u64::MAX).shards(usize::MAX).expected_entries(u64::MAX).largest(u64::MAX).build();
    assert!(store.insert(1, entry(1)).is_kept());
}
