//! Many threads at once.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use donjon_store::{Entry, MemoryStore};
use tokio::time::Instant;

/// A key that takes its time: the engine hashes it after the store has looked for removals, so another thread can come
/// in between if anything lets it.
#[derive(PartialEq, Eq)]
struct Slow(u64);

impl Hash for Slow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        thread::yield_now();
        self.0.hash(state);
    }
}

const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// A writer changes what the values are made of, then removes by tag, by key or everything. From the moment that the
/// removal has returned nobody may find what was made before.
fn nobody_finds_what_was_removed(remove: impl Fn(&MemoryStore<Slow, u64>) + Sync) {
    let store: MemoryStore<Slow, u64> = MemoryStore::new(100);
    let source = AtomicU64::new(0);
    let removed = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    let found = AtomicU64::new(0);
    let reader = || {
        while !done.load(SeqCst) {
            let least = removed.load(SeqCst);
            let lookup = store.get(&Slow(1), Instant::now());
            if let Some(token) = lookup.token() {
                let value = source.load(SeqCst);
                thread::yield_now();
                let entry = Entry::new(value, Instant::now()).fresh_for(FOR_EVER).tag("t");
                let _ = store.fill(Slow(1), entry, token);
            } else if let Some(value) = lookup.found() {
                assert!(value.into_value() >= least, "removed before it was found");
                found.fetch_add(1, SeqCst);
            }
        }
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(reader)).collect();
        for version in 1..=8_000 {
            source.store(version, SeqCst);
            remove(&store);
            removed.store(version, SeqCst);
            thread::yield_now();
            // However the threads are scheduled: now and then nothing is removed until something was found.
            let before = found.load(SeqCst);
            while version % 16 == 0 && found.load(SeqCst) == before {
                if readers.iter().any(thread::ScopedJoinHandle::is_finished) {
                    break; // it has panicked, and the scope says so
                }
                thread::yield_now();
            }
        }
        done.store(true, SeqCst);
    });
    assert!(found.load(SeqCst) >= 500, "the readers have found something after each pause");
}

#[test]
fn what_a_tag_removed_is_found_by_nobody() {
    nobody_finds_what_was_removed(|store| store.remove_tag("t"));
}

#[test]
fn what_a_key_removed_is_found_by_nobody() {
    nobody_finds_what_was_removed(|store| {
        store.remove(&Slow(1));
    });
}

#[test]
fn what_clearing_removed_is_found_by_nobody() {
    nobody_finds_what_was_removed(MemoryStore::clear);
}

#[test]
fn threads_that_insert_evict_and_remove_leave_the_figures_right() {
    let shared = Arc::new(());
    let store: MemoryStore<u64, Arc<()>> =
        MemoryStore::weighing(2_000, |key: &u64, _: &Arc<()>| key % 7).overhead(1).largest(50).build();
    thread::scope(|scope| {
        for seed in 0..4 {
            let (store, shared) = (&store, &shared);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..5_000 {
                    let key = random.u64(..2_000);
                    match random.u8(..16) {
                        0 => store.remove_tag(["a", "b"][random.usize(..2)]),
                        1 => drop(store.remove(&key)),
                        2..8 => {
                            let entry = Entry::new(Arc::clone(shared), Instant::now());
                            let entry = entry.fresh_for(FOR_EVER).tag(["a", "b"][random.usize(..2)]);
                            let _ = store.insert(key, entry);
                        }
                        _ => drop(store.get(&key, Instant::now())),
                    }
                    assert!(store.stats().weight <= 2_000);
                }
            });
        }
    });
    let stats = store.stats();
    // Every value that is alive is one that is held.
    assert_eq!(Arc::strong_count(&shared), stats.entries + 1);
    assert!(stats.evictions > 0 && stats.untagged > 0);
    store.clear();
    assert_eq!((store.stats().entries, store.stats().weight, Arc::strong_count(&shared)), (0, 0, 1));
}

#[test]
fn a_weigher_that_panics_harms_nobody() {
    let store: MemoryStore<u64, u64> =
        MemoryStore::weighing(1_000, |_: &u64, value: &u64| if *value == 13 { panic!("13") } else { 1 })
            .overhead(0)
            .build();
    let entry = |value| Entry::new(value, Instant::now()).fresh_for(FOR_EVER);
    let _ = store.insert(1, entry(1));
    let panicked = thread::scope(|scope| scope.spawn(|| store.insert(1, entry(13))).join().is_err());
    assert!(panicked);
    assert!(store.get(&1, Instant::now()).fresh().is_some());
    assert!(store.insert(2, entry(2)).is_kept());
}
