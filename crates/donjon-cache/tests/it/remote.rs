//! A store that answers later, grants leases, and may fail.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

use donjon_cache::CacheLayer;
use donjon_core::{CallError, Deadline};
use donjon_store::{Answer, Entry, FillToken, Lookup, MemoryStore, Store, Stored};
use donjon_test::{Number, Probe, Reply};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt};

use crate::support::{secs, settle};

/// Each answer takes a turn of the scheduler. One lease a key.
#[derive(Clone)]
struct Remote {
    memory: MemoryStore<u64, u64>,
    leased: Arc<Mutex<Vec<u64>>>,
    broken: bool,
}

#[derive(Debug)]
struct Broken;

type Later<T> = Pin<Box<dyn Future<Output = Result<T, Broken>> + Send>>;

impl Remote {
    fn new() -> Self {
        Self { memory: MemoryStore::new(100), leased: Arc::default(), broken: false }
    }

    fn later<T: Send + 'static>(&self, work: impl FnOnce(Self) -> T + Send + 'static) -> Answer<Later<T>> {
        let this = self.clone();
        Answer::Later(Box::pin(async move {
            tokio::task::yield_now().await;
            if this.broken { Err(Broken) } else { Ok(work(this)) }
        }))
    }

    fn lease(&self, key: u64, token: FillToken) -> FillToken {
        let mut leased = self.leased.lock().unwrap();
        if leased.contains(&key) {
            return token.follower();
        }
        leased.push(key);
        token
    }

    fn release(&self, key: u64) {
        self.leased.lock().unwrap().retain(|it| *it != key);
    }
}

impl Store<u64, u64> for Remote {
    type Error = Broken;
    type Lookup = Later<Lookup<u64>>;
    type Fill = Later<Stored>;
    type Remove = Later<()>;

    fn lookup(&self, key: &u64, now: Instant) -> Answer<Self::Lookup> {
        let key = *key;
        self.later(move |this| match this.memory.get(&key, now) {
            Lookup::Stale(found, token) => Lookup::Stale(found, this.lease(key, token)),
            Lookup::Miss(token) => Lookup::Miss(this.lease(key, token)),
            fresh => fresh,
        })
    }

    fn fill(&self, key: u64, entry: Entry<u64>, token: FillToken) -> Answer<Self::Fill> {
        self.later(move |this| {
            this.release(key);
            this.memory.fill(key, entry, token)
        })
    }

    fn abandon(&self, key: &u64, token: FillToken) {
        if token.is_leader() {
            self.release(*key);
        }
    }

    fn invalidate(&self, key: &u64) -> Answer<Self::Remove> {
        let key = *key;
        self.later(move |this| {
            this.memory.remove(&key);
        })
    }

    fn invalidate_tag(&self, tag: &str) -> Answer<Self::Remove> {
        let tag = tag.to_owned();
        self.later(move |this| this.memory.remove_tag(&tag))
    }

    fn invalidate_all(&self) -> Answer<Self::Remove> {
        self.later(|this| this.memory.clear())
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_later_fits() {
    let layer = CacheLayer::new(|n: &u64| Some(*n)).store(Remote::new()).ttl(secs(10));
    let probe = Probe::<Number>::number();
    let handle = probe.handle();
    let service = layer.layer(probe);
    for _ in 0..3 {
        service.clone().oneshot(7).await.unwrap();
    }
    let stats = layer.handle().stats();
    assert_eq!((handle.stats().calls, stats.hits, stats.misses, stats.stored), (1, 2, 1, 1));
    assert!(layer.handle().store().leased.lock().unwrap().is_empty());
    layer.handle().remove(&7).await.unwrap();
    service.clone().oneshot(7).await.unwrap();
    assert_eq!(handle.stats().calls, 2);
}

#[tokio::test(start_paused = true)]
async fn misses_of_one_process_are_one_call_with_the_lease() {
    let layer = CacheLayer::new(|n: &u64| Some(*n)).store(Remote::new());
    let probe = Probe::<Number>::number();
    let handle = probe.handle();
    handle.reply(Reply::answer().held());
    let mut service = layer.layer(probe);
    let calls: Vec<_> = (0..10).map(|_| tokio::spawn(service.call(7))).collect();
    settle().await;
    assert_eq!((handle.stats().calls, handle.release_all()), (1, 1));
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(layer.handle().stats().stored, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_comes_back_when_the_call_fails_or_is_dropped() {
    let layer = CacheLayer::new(|n: &u64| Some(*n)).store(Remote::new());
    let probe = Probe::<Number>::number();
    let handle = probe.handle();
    let mut service = layer.layer(probe);
    let leased = Arc::clone(&layer.handle().store().leased);
    handle.reply(Reply::fail());
    service.call(7).await.unwrap_err();
    assert!(leased.lock().unwrap().is_empty());
    handle.reply(Reply::never());
    let call = tokio::spawn(service.call(7));
    settle().await;
    assert_eq!(*leased.lock().unwrap(), [7]);
    call.abort();
    settle().await;
    assert!(leased.lock().unwrap().is_empty());
}

/// One that joins the call of another has no use for its lease, nor has one whose time is over, or that finds no place.
#[tokio::test(start_paused = true)]
async fn a_lease_comes_back_from_whoever_makes_no_call() {
    let layer = CacheLayer::new(|n: &u64| Some(*n)).max_followers(1).store(Remote::new());
    let probe = Probe::<Number>::number();
    let handle = probe.handle();
    handle.reply(Reply::answer().held());
    let mut service = layer.layer(probe);
    let leased = Arc::clone(&layer.handle().store().leased);
    // Another machine has it when the first one asks, and has given it back when the others do.
    leased.lock().unwrap().push(7);
    let driver = tokio::spawn(service.call(7));
    settle().await;
    leased.lock().unwrap().clear();
    let follower = tokio::spawn(service.call(7));
    settle().await;
    assert_eq!((handle.stats().calls, &**leased.lock().unwrap()), (1, &[7][..]));
    follower.abort();
    settle().await;
    assert!(leased.lock().unwrap().is_empty(), "a follower that leaves");
    let follower = tokio::spawn(service.call(7));
    settle().await;
    leased.lock().unwrap().clear();
    service.call(7).await.unwrap_err();
    assert!(leased.lock().unwrap().is_empty(), "one that finds no place");
    handle.release_all();
    driver.await.unwrap().unwrap();
    follower.await.unwrap().unwrap();
    let deadline = Deadline::after(secs(1));
    let late = deadline.scope(service.call(8));
    advance(secs(1)).await;
    late.await.unwrap_err();
    assert!(leased.lock().unwrap().is_empty(), "one whose time is over");
}

#[tokio::test(start_paused = true)]
async fn only_who_has_the_lease_refreshes_what_is_stale() {
    let layer = CacheLayer::new(|n: &u64| Some(*n)).store(Remote::new()).ttl(secs(10)).stale_while_revalidate(secs(60));
    let probe = Probe::<Number>::number();
    let handle = probe.handle();
    let mut service = layer.layer(probe);
    service.call(7).await.unwrap();
    advance(secs(10)).await;
    // Another machine makes the next value.
    let store = layer.handle().store().clone();
    store.leased.lock().unwrap().push(7);
    service.call(7).await.unwrap();
    settle().await;
    assert_eq!(handle.stats().calls, 1);
    store.release(7);
    service.call(7).await.unwrap();
    settle().await;
    assert_eq!((handle.stats().calls, layer.handle().stats().refreshes), (2, 1));
    assert!(store.leased.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_a_miss() {
    let layer = CacheLayer::new(|n: &u64| Some(*n)).store(Remote { broken: true, ..Remote::new() });
    let probe = Probe::<Number>::number();
    let handle = probe.handle();
    let service = layer.layer(probe);
    for _ in 0..2 {
        let answer: Result<u64, CallError> = service.clone().oneshot(7).await;
        answer.unwrap();
    }
    let stats = layer.handle().stats();
    assert_eq!((handle.stats().calls, stats.misses, stats.store_errors), (2, 2, 2));
    assert!(matches!(layer.handle().remove_all().await, Err(Broken)));
}
