//! Counted exactly: what a hit allocates, and what a flood takes.

use std::{sync::Arc, time::Duration};

use allocation_counter::measure;
use bytes::Bytes;
use donjon_store::{Entry, Lookup, MemoryStore, Store};
use tokio::time::Instant;

fn entry<V>(value: V) -> Entry<V> {
    Entry::new(value, Instant::now()).fresh_for(Duration::from_secs(60))
}

#[test]
fn a_hit_and_a_miss_allocate_nothing() {
    let store: MemoryStore<u64, Arc<[u8]>> = MemoryStore::new(100);
    let _ = store.insert(1, entry(Arc::from([0; 100])));
    let _ = store.insert(2, entry(Arc::from([0; 100])).tag("a").tag("b").tag("c").tag("d").tag("e"));
    store.remove_tag("f");
    let info = measure(|| {
        for key in 1..=3 {
            let lookup = store.get(&key, Instant::now());
            assert_eq!(matches!(lookup, Lookup::Fresh(_)), key < 3);
            assert!(store.lookup(&key, Instant::now()).now().is_some());
        }
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn removing_by_tag_allocates_nothing_after_the_first_time() {
    let store: MemoryStore<u64, u64> = MemoryStore::new(100);
    store.remove_tag("a");
    assert_eq!(measure(|| store.remove_tag("b")).count_total, 0);
}

#[test]
fn a_full_store_replaces_without_allocating() {
    let store: MemoryStore<u64, u64> = MemoryStore::new(1_000);
    // Long enough for every table to have its final size.
    for key in 0..20_000 {
        let _ = store.insert(key, entry(key));
    }
    let info = measure(|| {
        for key in 20_000..21_000 {
            let _ = store.insert(key, entry(key).tag("a"));
        }
    });
    // One each: the list of tags that the caller made.
    assert_eq!(info.count_total, 1_000);
}

/// The most that is held at any time while `keys` entries of so many bytes pass through a store of `capacity`.
fn flood(capacity: u64, keys: u64, size: impl Fn(u64) -> usize) -> u64 {
    let info = measure(|| {
        let store: MemoryStore<u64, Bytes> =
            MemoryStore::weighing(capacity, |_: &u64, value: &Bytes| value.len() as u64).build();
        for key in 0..keys {
            assert!(store.insert(key, entry(Bytes::from(vec![0; size(key)].into_boxed_slice()))).is_kept());
        }
        assert!(store.stats().weight * 10 > capacity * 9, "it is full");
    });
    info.bytes_max
}

#[test]
fn a_flood_takes_no_more_than_the_capacity_and_a_tenth() {
    for (capacity, size) in [(8 << 20, 16), (8 << 20, 500), (32 << 20, 5_000), (64 << 20, 50_000)] {
        let keys = 4 * capacity / (size as u64 + 200);
        let most = flood(capacity, keys, |key| size + (key % 8) as usize);
        assert!(most * 10 <= capacity * 11, "{most} bytes for entries of {size} in {capacity}");
    }
}
