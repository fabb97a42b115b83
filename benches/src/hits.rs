//! What a cache hit is made of, each as a service: reading the clock, looking into the bare engine, looking into the
//! store with a freshness check. Of 1,024 keys, all of them there. And keys that are never there.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use donjon_store::{Entry, MemoryStore};
use quick_cache::sync::Cache;
use tokio::time::Instant;
use tower::Service;

/// How many keys there are.
pub const KEYS: u64 = 1024;

/// Answers a number by a function of it.
#[derive(Clone, Debug)]
pub struct Answers<F>(pub F);

impl<F, T> Service<u64> for Answers<F>
where
    F: FnMut(u64) -> T,
{
    type Response = T;
    type Error = Infallible;
    type Future = Ready<Result<T, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        ready(Ok((self.0)(request)))
    }
}

/// Reads the clock.
#[must_use]
pub fn clock() -> Answers<impl FnMut(u64) -> Instant + Clone + Send + Sync + 'static> {
    Answers(|_| Instant::now())
}

/// Looks into the engine alone.
#[must_use]
pub fn engine() -> Answers<impl FnMut(u64) -> Option<Arc<u64>> + Clone + Send + Sync + 'static> {
    let cache = Arc::new(Cache::new(usize::try_from(KEYS).expect("it is small") * 2));
    for key in 0..KEYS {
        cache.insert(key, Arc::new(key));
    }
    Answers(move |key| cache.get(&(key % KEYS)))
}

/// Looks into the store, reads the clock, and compares.
#[must_use]
pub fn store() -> Answers<impl FnMut(u64) -> Option<Arc<u64>> + Clone + Send + Sync + 'static> {
    let store = MemoryStore::new(KEYS * 2);
    for key in 0..KEYS {
        let entry = Entry::new(Arc::new(key), Instant::now()).fresh_for(Duration::from_secs(3600));
        assert!(store.insert(key, entry).is_kept());
    }
    Answers(move |key| store.get(&(key % KEYS), Instant::now()).fresh().map(|found| found.into_value()))
}

/// A key that no call had before: for misses alone.
#[must_use]
pub fn new_key(_: &u64) -> Option<u64> {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NEXT: Cell<u64> = Cell::new(THREADS.fetch_add(1, Relaxed) << 40);
    }
    let key = NEXT.get();
    NEXT.set(key + 1);
    Some(key)
}
