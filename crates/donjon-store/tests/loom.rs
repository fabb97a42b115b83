//! What must hold in every interleaving of fills, removals and lookups: once a removal has returned, nobody finds what
//! was begun before it.
//!
//! The numbering of removals is compiled in here with loom's primitives, which `--cfg donjon_loom` chooses:
//! `RUSTFLAGS="--cfg donjon_loom" cargo test --profile loom -p donjon-store --test loom`. The engine is a map behind a
//! lock of its own.

#![cfg(donjon_loom)]
#![allow(dead_code, unreachable_pub, reason = "parts of a library: the models do not need all of it")]

#[path = "../src/generations.rs"]
mod generations;
#[path = "../src/sync.rs"]
mod sync;

use loom::{
    sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering::SeqCst},
    thread,
};

use crate::generations::{Generations, Marks};

const HASH: u64 = 7;

struct Store {
    generations: Generations,
    /// A value, and as of which removal.
    engine: Mutex<Option<(u64, u64)>>,
    /// What values are made of.
    source: AtomicU64,
}

impl Store {
    fn new() -> Arc<Self> {
        let (generations, engine) = (Generations::new(1), Mutex::new(None));
        Arc::new(Self { generations, engine, source: AtomicU64::new(0) })
    }

    fn marks(&self) -> Marks {
        Marks::new([self.generations.place(0)].into_iter())
    }

    /// What a lookup, the making of the value and its fill do.
    fn miss(&self) {
        let number = self.generations.now();
        let value = self.source.load(SeqCst);
        let _ordered = self.generations.lock_key(HASH);
        let outdated = self.generations.is_key_dead(number, HASH) || self.generations.is_dead(number, &self.marks());
        if !outdated {
            *self.engine.lock().unwrap() = Some((value, number));
        }
    }

    fn get(&self) -> Option<u64> {
        let found = *self.engine.lock().unwrap();
        found.filter(|(_, number)| !self.generations.is_dead(*number, &self.marks())).map(|(value, _)| value)
    }

    fn remove_key(&self) {
        let _ordered = self.generations.lock_key(HASH);
        self.generations.remove_key(HASH);
        *self.engine.lock().unwrap() = None;
    }
}

fn nobody_finds_what_was_removed(remove: fn(&Store)) {
    loom::model(move || {
        let store = Store::new();
        let filler = thread::spawn({
            let store = Arc::clone(&store);
            move || store.miss()
        });
        let remover = thread::spawn({
            let store = Arc::clone(&store);
            move || {
                store.source.store(1, SeqCst);
                remove(&store);
                assert_ne!(store.get(), Some(0), "right after the removal");
            }
        });
        filler.join().unwrap();
        remover.join().unwrap();
        assert_ne!(store.get(), Some(0), "in the end");
        // A fill that begins now is as new as it gets, and kept.
        store.miss();
        assert_eq!(store.get(), Some(1));
    });
}

#[test]
fn what_a_tag_removed_is_found_by_nobody() {
    nobody_finds_what_was_removed(|store| store.generations.remove_tag(store.generations.place(0)));
}

#[test]
fn what_a_key_removed_is_found_by_nobody() {
    nobody_finds_what_was_removed(Store::remove_key);
}

#[test]
fn what_clearing_removed_is_found_by_nobody() {
    nobody_finds_what_was_removed(|store| store.generations.remove_all());
}

#[test]
fn two_removals_of_one_tag_never_go_back() {
    loom::model(|| {
        let store = Store::new();
        let remove = |store: &Store| store.generations.remove_tag(store.generations.place(0));
        let first = thread::spawn({
            let store = Arc::clone(&store);
            move || remove(&store)
        });
        remove(&store);
        let number = store.generations.now();
        first.join().unwrap();
        let last = store.generations.now();
        assert!(last == 2 && number <= last);
        // What began before the later of both is dead, what began after both is alive.
        assert!(store.generations.is_dead(last - 1, &store.marks()));
        assert!(!store.generations.is_dead(last, &store.marks()));
    });
}
