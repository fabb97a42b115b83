//! What a store is, to the compiler.

use std::{cell::Cell, rc::Rc};

use donjon_store::{Answer, Entry, Found, Lookup, MemoryStore, MemoryStoreBuilder, Never, Stats};

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn clone<T: Clone>() {}

/// Neither `Clone` nor `Debug`.
struct Plain;

#[test]
fn a_store_of_what_can_be_shared_can_be_shared() {
    send::<MemoryStore<u64, u64>>();
    sync::<MemoryStore<u64, u64>>();
    send::<MemoryStoreBuilder<u64, u64>>();
    send::<Stats>();
    send::<Lookup<Cell<u8>>>();
    send::<Found<Cell<u8>>>();
    send::<Entry<Cell<u8>>>();
    send::<Answer<Never<u8>>>();
    // Nothing is asked of keys and values by the types themselves.
    clone::<MemoryStore<Plain, Plain>>();
    clone::<MemoryStoreBuilder<Plain, Plain>>();
}

#[test]
fn a_store_of_what_stays_on_one_thread_works_there() {
    let now = tokio::time::Instant::now();
    let store: MemoryStore<u64, Rc<u8>> = MemoryStore::new(1);
    assert!(store.insert(1, Entry::new(Rc::new(1), now).fresh_for(std::time::Duration::MAX)).is_kept());
    assert!(store.get(&1, now).fresh().is_some());
}
