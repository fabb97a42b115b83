//! The states, one a key: a bounded number of them, and none is forgotten that is in use.

use std::{
    borrow::Borrow,
    hash::{BuildHasher, Hash, RandomState},
    mem,
    sync::{OnceLock, atomic::Ordering},
    thread::available_parallelism,
    time::Duration,
};

use donjon_core::Fresh;
use tokio::time::Instant;

use crate::{
    lru::{Lru, Node},
    sync::{Arc, AtomicU64, AtomicUsize, Mutex, lock},
};

/// Entries are numbered by 32 bits, and the last number is taken.
pub(crate) const MOST: usize = u32::MAX as usize - 1;
/// How many entries are looked at, at most, before a shard is given up, so that its lock is not held for long.
const LOOKS: usize = 64;
/// After so many hits of a shard somebody looks for those who have been idle for too long.
const HITS: u32 = 64;
/// Up to so many keys there is one shard, and the order of use is exact.
const SMALL: usize = 64;

/// What is kept for the keys: `L` is the layer with the state of one.
pub(crate) struct Keys<K, L> {
    /// Made with the first key, when the bound is known.
    shards: OnceLock<Box<[Shard<K, L>]>>,
    hasher: RandomState,
    max: AtomicUsize,
    /// In nanoseconds.
    idle: AtomicU64,
    /// How many keys there are, with those for whom a place has been taken.
    len: AtomicUsize,
    /// Which shard is swept next, besides those that are used.
    next: AtomicUsize,
}

/// On a cache line of its own.
#[repr(align(128))]
struct Shard<K, L>(Mutex<Part<K, L>>);

struct Part<K, L> {
    lru: Lru<K, Arc<L>>,
    hits: u32,
    counts: Counts,
}

/// Those who have been idle for too long, of those who were looked at.
struct Swept<K, L> {
    expired: Vec<Node<K, Arc<L>>>,
    /// Whether there may be more: as many were looked at as may be at once.
    more: bool,
}

/// What has happened to keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) created: u64,
    /// For want of room.
    pub(crate) evicted: u64,
    /// After having been idle.
    pub(crate) expired: u64,
}

/// The right to add one key, given back unless it is used.
struct Place<'a> {
    len: &'a AtomicUsize,
}

// ===== impl Keys =====

impl<K, L> Keys<K, L> {
    pub(crate) fn new(max: usize, idle: Duration) -> Self {
        let this = Self {
            shards: OnceLock::new(),
            hasher: RandomState::new(),
            max: AtomicUsize::new(0),
            idle: AtomicU64::new(0),
            len: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
        };
        this.set_max(max);
        this.set_idle(idle);
        this
    }

    /// No keys, and the bounds of this.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(self.max(), self.idle())
    }

    pub(crate) fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    pub(crate) fn set_max(&self, max: usize) {
        self.max.store(max.min(MOST), Ordering::Relaxed);
    }

    pub(crate) fn idle(&self) -> Duration {
        match self.idle.load(Ordering::Relaxed) {
            u64::MAX => Duration::MAX,
            nanos => Duration::from_nanos(nanos),
        }
    }

    pub(crate) fn set_idle(&self, idle: Duration) {
        self.idle.store(u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn shards(&self) -> &[Shard<K, L>] {
        self.shards.get_or_init(|| {
            let shards = match self.max() {
                0..=SMALL => 1,
                _ => available_parallelism().map_or(16, |cores| 4 * cores.get()).next_power_of_two().clamp(8, 64),
            };
            (0..shards).map(|_| Shard(Mutex::new(Part::new()))).collect()
        })
    }

    fn shard_of(&self, hash: u64) -> usize {
        // The map inside uses the low and the highest bits.
        (hash >> 40) as usize & (self.shards().len() - 1)
    }
}

impl<K, L: Fresh> Keys<K, L> {
    /// The state of this key, made by `make` if there is none. It stays the state of this key for as long as the
    /// answer is kept. `None` if there is no room for another key, since those that were looked at are in use.
    #[inline]
    pub(crate) fn lease(&self, key: K, make: impl FnOnce() -> L) -> Option<Arc<L>>
    where
        K: Hash + Eq,
    {
        let hash = self.hasher.hash_one(&key);
        let own = self.shard_of(hash);
        let mut part = lock(&self.shards()[own].0);
        let Some(found) = part.hit(hash, &key) else {
            drop(part);
            return self.lease_new(hash, key, make);
        };
        part.hits += 1;
        if part.hits >= HITS {
            let swept = part.sweep(Instant::now(), self.idle());
            drop(part);
            self.forget(swept.expired);
            self.sweep_next();
        }
        Some(found)
    }

    #[cold]
    fn lease_new(&self, hash: u64, key: K, make: impl FnOnce() -> L) -> Option<Arc<L>>
    where
        K: Eq,
    {
        let own = self.shard_of(hash);
        let now = Instant::now();
        let place = self.take_place(own, now)?;
        let made = Arc::new(make());
        let mut part = lock(&self.shards()[own].0);
        // Somebody else may have been here meanwhile.
        let (lease, unused) = match part.hit(hash, &key) {
            Some(found) => (found, Some((made, key))),
            None => {
                part.lru.insert(hash, key, Arc::clone(&made));
                part.counts.created += 1;
                mem::forget(place);
                (made, None)
            }
        };
        let swept = part.sweep(now, self.idle());
        drop(part);
        drop(unused);
        self.forget(swept.expired);
        Some(lease)
    }

    /// A place for one more key. Those that are not in use make room, the one in this shard first whose use was longest
    /// ago.
    fn take_place(&self, own: usize, now: Instant) -> Option<Place<'_>> {
        loop {
            let free = |len| (len < self.max()).then(|| len + 1);
            if self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok() {
                return Some(Place { len: &self.len });
            }
            if self.max() == 0 || !self.evict(own, now) {
                return None;
            }
        }
    }

    /// Makes room for one key. False if nobody who was looked at can leave.
    fn evict(&self, own: usize, now: Instant) -> bool {
        let shards = self.shards();
        (0..shards.len()).any(|n| {
            let mut part = lock(&shards[(own + n) % shards.len()].0);
            let (evicted, _) = part.evict(now);
            drop(part);
            let found = evicted.is_some();
            self.forget(evicted);
            found
        })
    }

    /// Looks in one more shard for those who have been idle for too long, in turn, so that a shard that nobody uses
    /// does not keep its keys.
    #[cold]
    fn sweep_next(&self) {
        let shards = self.shards();
        let next = self.next.fetch_add(1, Ordering::Relaxed) % shards.len();
        let swept = lock(&shards[next].0).sweep(Instant::now(), self.idle());
        self.forget(swept.expired);
    }

    /// Outside of the lock: they are dropped here, by whatever code.
    fn forget<N>(&self, nodes: N)
    where
        N: IntoIterator<Item = Node<K, Arc<L>>>,
        N::IntoIter: ExactSizeIterator,
    {
        let nodes = nodes.into_iter();
        if nodes.len() > 0 {
            self.len.fetch_sub(nodes.len(), Ordering::Relaxed);
        }
    }

    // ----- What the handle does. -----

    /// The state of this key, if there is one. It counts as in use while it is kept, but not as used.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<Arc<L>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let part = lock(&self.shards()[self.shard_of(hash)].0);
        let at = part.lru.find(hash, |it| it.borrow() == key)?;
        Some(Arc::clone(&part.lru.node(at).value))
    }

    /// Forgets this key, unless it is in use.
    pub(crate) fn remove<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let mut part = lock(&self.shards()[self.shard_of(hash)].0);
        let removed = match part.lru.find(hash, |it| it.borrow() == key) {
            Some(at) if is_free(&mut part.lru.node_mut(at).value) => {
                part.counts.evicted += 1;
                Some(part.lru.remove(at))
            }
            _ => None,
        };
        drop(part);
        let found = removed.is_some();
        self.forget(removed);
        found
    }

    /// All keys, by shard; `look` is called while the shard's lock is held.
    pub(crate) fn each(&self, mut look: impl FnMut(&K, &Arc<L>)) {
        for shard in self.shards() {
            for node in lock(&shard.0).lru.iter_mut() {
                look(&node.key, &node.value);
            }
        }
    }

    /// Sends away who has been idle for too long, and who is too many.
    pub(crate) fn tidy(&self) {
        let now = Instant::now();
        for shard in self.shards() {
            loop {
                let mut part = lock(&shard.0);
                let swept = part.sweep(now, self.idle());
                drop(part);
                self.forget(swept.expired);
                if !swept.more {
                    break;
                }
            }
        }
        if self.is_over() {
            self.trim(now);
        }
    }

    fn is_over(&self) -> bool {
        self.len.load(Ordering::Relaxed) > self.max()
    }

    /// Sends away who is too many: one of each shard in turn, until the bound holds or each shard has been gone through.
    fn trim(&self, now: Instant) {
        let shards = self.shards();
        // How many are still to be looked at. Those that are passed over become the newest, so that none is looked at
        // twice before all others.
        let mut left: Vec<_> = shards.iter().map(|shard| lock(&shard.0).lru.len()).collect();
        while left.iter().any(|&left| left > 0) {
            for (shard, left) in shards.iter().zip(&mut left).filter(|(_, left)| **left > 0) {
                if !self.is_over() {
                    return;
                }
                let mut part = lock(&shard.0);
                let (evicted, looks) = part.evict(now);
                drop(part);
                *left = if looks == 0 { 0 } else { left.saturating_sub(looks) };
                self.forget(evicted);
            }
        }
    }

    /// How many keys there are, and how many of them are in use; what has happened.
    pub(crate) fn figures(&self) -> (usize, usize, Counts) {
        let (mut len, mut busy, mut counts) = (0, 0, Counts::default());
        for shard in self.shards() {
            let mut part = lock(&shard.0);
            len += part.lru.len();
            busy += part.lru.iter_mut().filter_map(|node| (!is_free(&mut node.value)).then_some(())).count();
            counts.created += part.counts.created;
            counts.evicted += part.counts.evicted;
            counts.expired += part.counts.expired;
        }
        // A key that has made room in a shard that was counted for one in a shard that was not is counted, and so is the
        // other. There were never more than this, and each of them has a place.
        len = len.min(self.len.load(Ordering::Relaxed));
        (len, busy.min(len), counts)
    }

    /// Whether any key is in use.
    pub(crate) fn is_busy(&self) -> bool {
        self.shards.get().is_some_and(|shards| {
            shards.iter().any(|shard| lock(&shard.0).lru.iter_mut().any(|node| !is_free(&mut node.value)))
        })
    }
}

// ===== impl Part =====

impl<K, L> Part<K, L> {
    const fn new() -> Self {
        Self { lru: Lru::new(), hits: 0, counts: Counts { created: 0, evicted: 0, expired: 0 } }
    }

    #[inline]
    fn hit(&mut self, hash: u64, key: &K) -> Option<Arc<L>>
    where
        K: Eq,
    {
        let at = self.lru.find(hash, |it| it == key)?;
        self.lru.touch(at);
        Some(Arc::clone(&self.lru.node(at).value))
    }
}

impl<K, L: Fresh> Part<K, L> {
    /// Takes out who has been idle for at least so long. Whoever is in use is used now.
    #[must_use]
    fn sweep(&mut self, now: Instant, idle: Duration) -> Swept<K, L> {
        self.hits = 0;
        self.lru.stamp(now);
        let (mut expired, mut more) = (Vec::new(), true);
        for _ in 0..LOOKS {
            match self.lru.oldest() {
                Some((at, Some(used))) if used < now && now.duration_since(used) >= idle => {
                    if is_free(&mut self.lru.node_mut(at).value) {
                        self.counts.expired += 1;
                        expired.push(self.lru.remove(at));
                    } else {
                        self.lru.touch(at);
                    }
                }
                _ => {
                    more = false;
                    break;
                }
            }
        }
        self.lru.stamp(now);
        Swept { expired, more }
    }

    /// Takes out the one whose use was longest ago, of those that are not in use; and how many were looked at.
    fn evict(&mut self, now: Instant) -> (Option<Node<K, Arc<L>>>, usize) {
        let looks = LOOKS.min(self.lru.len());
        for look in 1..=looks {
            let Some((at, _)) = self.lru.oldest() else { break };
            if is_free(&mut self.lru.node_mut(at).value) {
                self.counts.evicted += 1;
                return (Some(self.lru.remove(at)), look);
            }
            self.lru.touch(at);
        }
        self.lru.stamp(now);
        (None, looks)
    }
}

/// Whether nobody has a lease, or what came of one. New leases are given under the lock that the caller holds, and
/// `get_mut` sees all that was done by those that are gone.
fn is_free<L: Fresh>(state: &mut Arc<L>) -> bool {
    Arc::get_mut(state).is_some_and(|layer| !layer.is_held())
}

// ===== impl Place =====

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.len.fetch_sub(1, Ordering::Relaxed);
    }
}
