//! One entry: how it comes, what a lookup says of it, how it leaves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use donjon_core::Fresh;
use donjon_store::{Entry, Lookup, MemoryStore, Stored};
use tokio::time::{Instant, advance};

const S: Duration = Duration::from_secs(1);

fn entry(value: u64) -> Entry<u64> {
    Entry::new(value, Instant::now()).fresh_for(60 * S)
}

fn value(store: &MemoryStore<u64, u64>, key: u64) -> Option<u64> {
    store.get(&key, Instant::now()).found().map(|found| found.into_value())
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_takes_an_entry_from_fresh_over_stale_to_gone() {
    let store: MemoryStore<u64, Arc<str>> = MemoryStore::new(10);
    let entry = Entry::new(Arc::from("a"), Instant::now()).fresh_for(2 * S).stale_for(S);
    assert!(store.insert(1, entry).is_kept());
    assert!(matches!(store.get(&1, Instant::now()), Lookup::Fresh(_)));
    advance(2 * S).await;
    let Lookup::Stale(found, token) = store.get(&1, Instant::now()) else { panic!("it is stale") };
    assert_eq!((&**found.value(), found.lifetime().age(Instant::now())), ("a", 2 * S));
    assert!(token.is_leader());
    assert_eq!(store.stats().entries, 1);
    advance(S).await;
    assert!(matches!(store.get(&1, Instant::now()), Lookup::Miss(_)));
    assert_eq!((store.stats().entries, store.stats().weight, store.stats().expired), (0, 0, 1));
    // It has left once, and is not counted again.
    assert!(matches!(store.get(&1, Instant::now()), Lookup::Miss(_)));
    assert_eq!(store.stats().expired, 1);
}

#[tokio::test(start_paused = true)]
async fn the_newest_value_is_the_one_that_is_found() {
    let store = MemoryStore::new(10);
    assert_eq!(store.insert(1, entry(1)), Stored::Kept);
    assert_eq!(store.insert(1, entry(2)), Stored::Kept);
    assert_eq!(value(&store, 1), Some(2));
    assert_eq!((store.stats().entries, store.stats().evictions), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_value_without_a_lifetime_is_not_kept_and_ends_what_was_there() {
    let store = MemoryStore::new(10);
    let _ = store.insert(1, entry(1));
    assert_eq!(store.insert(1, Entry::new(2, Instant::now())), Stored::NoLifetime);
    assert_eq!(value(&store, 1), None);
    assert_eq!(store.stats().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_had_expired_on_its_way_leaves_at_the_first_lookup() {
    let store = MemoryStore::new(10);
    let old = entry(1);
    advance(61 * S).await;
    let _ = store.insert(1, old);
    assert_eq!(value(&store, 1), None);
    assert_eq!((store.stats().entries, store.stats().expired), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn removing_a_key_removes_that_key() {
    let store = MemoryStore::new(10);
    let _ = store.insert(1, entry(1));
    let _ = store.insert(2, entry(2));
    assert!(store.remove(&1));
    assert!(!store.remove(&1));
    assert_eq!((value(&store, 1), value(&store, 2)), (None, Some(2)));
}

#[tokio::test(start_paused = true)]
async fn clearing_removes_everything_and_frees_it() {
    let store = MemoryStore::new(1_000);
    for key in 0..500 {
        let _ = store.insert(key, entry(key));
    }
    store.clear();
    assert_eq!((store.stats().entries, store.stats().weight), (0, 0));
    assert!((0..500).all(|key| value(&store, key).is_none()));
    let _ = store.insert(3, entry(4));
    assert_eq!(value(&store, 3), Some(4));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_found_by_what_it_borrows_as() {
    let store: MemoryStore<String, u64> = MemoryStore::new(10);
    let _ = store.insert("a".to_owned(), entry(1));
    assert!(store.get("a", Instant::now()).fresh().is_some());
    assert!(store.remove("a"));
}

#[tokio::test(start_paused = true)]
async fn what_it_cost_comes_back_to_the_microsecond() {
    let store = MemoryStore::new(10);
    for cost in [Duration::ZERO, Duration::from_micros(1), Duration::from_millis(250)] {
        let _ = store.insert(1, entry(1).cost(cost));
        assert_eq!(store.get(&1, Instant::now()).fresh().map(|found| found.cost()), Some(cost));
    }
    let _ = store.insert(1, entry(1).cost(Duration::MAX));
    let cost = store.get(&1, Instant::now()).fresh().map(|found| found.cost());
    assert_eq!(cost, Some(Duration::from_micros(u64::from(u32::MAX))));
}

#[tokio::test(start_paused = true)]
async fn clones_are_one_store_and_a_fresh_one_is_another() {
    let store = MemoryStore::new(10);
    let clone = store.clone();
    let fresh = store.fresh();
    let bypass = store.bypass();
    let _ = clone.insert(1, entry(1));
    assert_eq!(value(&store, 1), Some(1));
    assert_eq!(value(&fresh, 1), None);
    assert_eq!(fresh.stats().capacity, 10);
    assert!(!bypass.insert(1, entry(1)).is_kept());
    assert_eq!(value(&bypass, 1), None);
}

#[tokio::test(start_paused = true)]
async fn a_value_is_dropped_when_it_leaves_however_it_leaves() {
    let now = Instant::now();
    let shared = Arc::new(());
    let store: MemoryStore<u64, Arc<()>> = MemoryStore::new(4);
    let put = |key| store.insert(key, Entry::new(Arc::clone(&shared), now).fresh_for(S).tag("t"));
    let _ = (put(1), put(1), put(2), put(3));
    assert_eq!(Arc::strong_count(&shared), 4);
    store.remove(&1);
    assert_eq!(Arc::strong_count(&shared), 3);
    store.remove_tag("t");
    assert!(store.get(&2, now).found().is_none());
    assert_eq!(Arc::strong_count(&shared), 2);
    for key in 10..100 {
        let _ = put(key);
    }
    assert!(Arc::strong_count(&shared) <= 5);
    assert!(store.get(&99, now + S).found().is_none());
    store.clear();
    assert_eq!(Arc::strong_count(&shared), 1);
    let _ = put(1);
    drop(store);
    assert_eq!(Arc::strong_count(&shared), 1);
}

/// Comes back to the store when it is dropped.
#[derive(Clone)]
struct ComesBack(Arc<OnDrop>);

struct OnDrop {
    store: MemoryStore<u64, ComesBack>,
    dropped: AtomicUsize,
}

impl Drop for ComesBack {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Relaxed);
        self.0.store.remove(&1);
        self.0.store.remove_tag("a");
        let _ = self.0.store.get(&1, Instant::now());
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_comes_back_to_the_store_when_it_is_dropped_finds_no_lock_held() {
    let store = MemoryStore::weighing(10, |key: &u64, _: &ComesBack| *key).overhead(0).largest(5).build();
    let watch = Arc::new(OnDrop { store: store.clone(), dropped: AtomicUsize::new(0) });
    let entry = || Entry::new(ComesBack(Arc::clone(&watch)), Instant::now()).tag("a");
    let dropped = || watch.dropped.swap(0, Relaxed);

    assert!(matches!(store.insert(100, entry().fresh_for(S)), Stored::TooHeavy { .. }));
    assert_eq!(dropped(), 1);
    assert_eq!(store.insert(1, entry()), Stored::NoLifetime);
    assert_eq!(dropped(), 1);
    let token = store.token();
    store.remove(&1);
    assert_eq!(store.fill(1, entry().fresh_for(S), token), Stored::Outdated);
    assert_eq!(dropped(), 1);
    // Replaced, evicted, removed, cleared.
    for key in [1, 1, 2, 3, 4, 5, 5, 4, 3] {
        let _ = store.insert(key, entry().fresh_for(S));
    }
    store.remove(&3);
    store.clear();
    assert!(dropped() >= 9);
}
