use std::{
    borrow::Borrow,
    convert::Infallible,
    fmt,
    hash::{BuildHasher, Hash},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use donjon_core::Fresh;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, sync::Cache};
use tokio::time::Instant;

use crate::{
    Answer, Entry, FillToken, Found, Freshness, Lookup, MemoryStoreBuilder, Never, Stats, Store, Stored, Weigh,
    generations::{Generations, Marks},
    shards::Shards,
    slot::{Evicted, Evicting, Slot, SlotWeight, engine_bytes, from_micros, micros},
    stats::{Counters, count},
};

/// A store in the memory of the process, bounded by weight. Its clones are the same store.
///
/// - **Capacity.** [`new`](MemoryStore::new) counts entries, [`weighing`](MemoryStore::weighing) weighs them. Above the
///   capacity the least useful leave: what is asked for again and again stays when many keys that are asked for once pass
///   by. An entry that is too heavy is refused, and says so.
/// - **Time.** Each entry carries its [`Lifetime`](crate::Lifetime), and each lookup says what time it is. The store has
///   no clock and no timer: an expired entry leaves when it is asked for, or when room is needed.
/// - **Removal.** By key, by tag, all. A tag is removed at once, however many entries have it, and without looking at
///   them: see [`remove_tag`](MemoryStore::remove_tag).
///
/// A hit copies the value out: use an `Arc`, or `Bytes`, or something else that is cheap to clone. Threads that ask for
/// one and the same key at once share the count of its references, and the lock of its shard, which they only read.
///
/// Keys are hashed with a seed of the process's own, by a fast hash that is no cryptographic one.
///
/// # Example
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use donjon_store::{Entry, Lookup, MemoryStore};
/// use tokio::time::Instant;
///
/// let store: MemoryStore<u64, Arc<str>> = MemoryStore::new(10_000);
/// let now = Instant::now();
///
/// let stored = store.insert(42, Entry::new("Ada".into(), now).fresh_for(Duration::from_secs(60)).tag("users"));
/// assert!(stored.is_kept());
///
/// match store.get(&42, now) {
///     Lookup::Fresh(found) => assert_eq!(&**found.value(), "Ada"),
///     other => panic!("not fresh: {other:?}"),
/// }
/// assert!(store.get(&42, now + Duration::from_secs(60)).found().is_none());
/// ```
pub struct MemoryStore<K, V> {
    shared: Arc<Shared<K, V>>,
}

struct Shared<K, V> {
    cache: Cache<K, Slot<V>, SlotWeight, DefaultHashBuilder, Evicting>,
    hasher: DefaultHashBuilder,
    generations: Generations,
    counters: Counters,
    settings: Settings<K, V>,
}

pub(crate) struct Settings<K, V> {
    /// Each weighs 1 without one.
    pub(crate) weigher: Option<Arc<dyn Weigh<K, V> + Send + Sync>>,
    pub(crate) capacity: u64,
    pub(crate) overhead: u64,
    /// At most the capacity.
    pub(crate) largest: u64,
    pub(crate) entries: u64,
    pub(crate) shards: usize,
    pub(crate) tag_places: u16,
}

// ===== impl MemoryStore =====

impl<K, V> MemoryStore<K, V> {
    /// The bytes that the store needs for an entry at most, beyond what key and value own on the heap: what
    /// [`weighing`](MemoryStore::weighing) adds to each weight.
    ///
    /// Twice what the engine holds for it (the key, the value, its times and marks, its place in a list), because tables
    /// double when they are full, and its share of a hash table.
    pub const ENTRY_OVERHEAD: u64 = engine_bytes::<K, V>();

    /// Settings for a store whose capacity is a number of entries.
    pub fn counting(capacity: u64) -> MemoryStoreBuilder<K, V> {
        MemoryStoreBuilder::counting(capacity)
    }

    /// Settings for a store whose capacity is in bytes, or in whatever the weigher reckons.
    ///
    /// The weigher says what the key and the value own on the heap; [`ENTRY_OVERHEAD`](MemoryStore::ENTRY_OVERHEAD) is
    /// added for the rest. Memory then stays below 1.1 times the capacity.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use donjon_store::MemoryStore;
    ///
    /// let store: MemoryStore<String, Bytes> =
    ///     MemoryStore::weighing(64 << 20, |key: &String, value: &Bytes| (key.len() + value.len()) as u64)
    ///         .largest(4 << 20)
    ///         .build();
    /// assert_eq!(store.stats().largest, 4 << 20);
    /// ```
    pub fn weighing(capacity: u64, weigher: impl Weigh<K, V> + Send + Sync + 'static) -> MemoryStoreBuilder<K, V> {
        MemoryStoreBuilder::weighing(capacity, weigher)
    }
}

impl<K, V> MemoryStore<K, V>
where
    K: Eq + Hash,
    V: Clone,
{
    /// A store of at most so many entries; 0 stores nothing.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self::counting(capacity).build()
    }

    pub(crate) fn with_settings(settings: Settings<K, V>) -> Self {
        let shards = Shards::new(settings.shards, settings.capacity, settings.largest, settings.entries);
        let options = OptionsBuilder::new()
            .shards(shards.count)
            .weight_capacity(shards.capacity)
            .estimated_items_capacity(shards.entries)
            .hot_allocation(shards.hot)
            .build()
            .expect("weight and number of entries are set");
        let hasher = DefaultHashBuilder::default();
        Self {
            shared: Arc::new(Shared {
                cache: Cache::with_options(options, SlotWeight, hasher.clone(), Evicting),
                hasher,
                generations: Generations::new(settings.tag_places),
                counters: Counters::default(),
                settings,
            }),
        }
    }

    /// What there is under `key` at `now`. An entry that has expired, or was removed by a tag, leaves.
    ///
    /// A hit allocates nothing and waits for nobody but a thread that inserts into the same shard.
    #[inline]
    pub fn get<Q>(&self, key: &Q, now: Instant) -> Lookup<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let shared = &*self.shared;
        // Only looked at up to the end, and then taken apart: copies of a whole slot were half of what this costs.
        let slot = shared.cache.get(key);
        match &slot {
            Some(slot) if slot.lifetime.is_fresh(now) && !shared.generations.is_dead(slot.number, &slot.marks) => {}
            _ => return self.get_other(key, slot, now),
        }
        let Some(Slot { value, lifetime, cost, .. }) = slot else { unreachable!("it was there") };
        Lookup::Fresh(Found::new(value, lifetime, from_micros(cost)))
    }

    /// A lookup that has found nothing fresh.
    #[inline(never)]
    fn get_other<Q>(&self, key: &Q, slot: Option<Slot<V>>, now: Instant) -> Lookup<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let shared = &*self.shared;
        let Some(slot) = slot else {
            return Lookup::Miss(self.token());
        };
        if slot.lifetime.at(now) == Freshness::Expired || shared.generations.is_dead(slot.number, &slot.marks) {
            shared.leave(key, now);
            return Lookup::Miss(self.token());
        }
        Lookup::Stale(Found::new(slot.value, slot.lifetime, from_micros(slot.cost)), self.token())
    }

    /// Keeps a value as of now: whatever is removed from now on removes it.
    ///
    /// A value that was made from something that may have changed meanwhile belongs to [`fill`](MemoryStore::fill).
    pub fn insert(&self, key: K, entry: Entry<V>) -> Stored {
        self.fill(key, entry, self.token())
    }

    /// Keeps a value that was made for a lookup that gave `token`, unless a removal has overtaken it.
    ///
    /// The entry that this one replaces, and those that make room for it, are dropped before this returns, behind no lock.
    pub fn fill(&self, key: K, entry: Entry<V>, token: FillToken) -> Stored {
        self.shared.fill(key, entry, token)
    }

    /// The right to bring a value that is made from now on, as a lookup gives it.
    #[must_use]
    #[inline]
    pub fn token(&self) -> FillToken {
        FillToken::new(self.shared.generations.now())
    }

    /// Removes what is under `key`, and says whether there was something. Fills for it that are under way are refused.
    ///
    /// Up to 8,192 keys are told apart in that; a fill of a key that shares its place with one removed meanwhile is
    /// refused too, and its value is made again when it is next asked for.
    pub fn remove<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let shared = &*self.shared;
        let hash = shared.hasher.hash_one(key);
        let removed = {
            let _ordered = shared.generations.lock_key(hash);
            shared.generations.remove_key(hash);
            shared.cache.remove(key)
        };
        removed.is_some()
    }

    /// Removes whatever has this tag, now and in fills that are under way, and looks at none of it: it costs two atomic
    /// operations, and the entries leave when they are asked for or when room is needed.
    ///
    /// For that, each entry keeps a number and two bytes a tag (up to four tags are held in place, more in an allocation
    /// that hits share), and a hit reads one counter for each of its tags. Tags are told apart by a hash into 65,534
    /// places, 512 KiB from the first removal on (see
    /// [`tag_places`](MemoryStoreBuilder::tag_places)): an entry whose tag shares a place with a removed one
    /// goes with it, and is no more than a miss.
    pub fn remove_tag(&self, tag: &str) {
        let shared = &*self.shared;
        shared.generations.remove_tag(shared.place(tag));
    }

    /// Removes everything, and ends the fills that are under way. What was there is gone when this begins to work;
    /// freeing it takes time in proportion, on this thread, in steps that keep nobody waiting. What is inserted meanwhile
    /// may go too.
    pub fn clear(&self) {
        let shared = &*self.shared;
        shared.generations.remove_all();
        for entry in shared.cache.drain() {
            drop(entry);
        }
    }

    /// The figures now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &*self.shared;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            entries: shared.cache.len(),
            weight: shared.cache.weight(),
            capacity: shared.cache.capacity(),
            largest: shared.settings.largest,
            evictions: read(&shared.counters.evictions),
            too_heavy: read(&shared.counters.too_heavy),
            outdated: read(&shared.counters.outdated),
            expired: read(&shared.counters.expired),
            untagged: read(&shared.counters.untagged),
        }
    }
}

impl<K, V> Store<K, V> for MemoryStore<K, V>
where
    K: Eq + Hash,
    V: Clone,
{
    type Error = Infallible;
    type Lookup = Never<Result<Lookup<V>, Infallible>>;
    type Fill = Never<Result<Stored, Infallible>>;
    type Remove = Never<Result<(), Infallible>>;

    #[inline]
    fn lookup(&self, key: &K, now: Instant) -> Answer<Self::Lookup> {
        Answer::Now(Ok(self.get(key, now)))
    }

    fn renew(&self, key: &K, now: Instant) -> Answer<Self::Lookup> {
        // Before the value is looked at: what is removed from here on ends the token.
        let token = self.token();
        Answer::Now(Ok(match self.get(key, now) {
            Lookup::Fresh(found) => Lookup::Stale(found, token),
            other => other,
        }))
    }

    fn fill(&self, key: K, entry: Entry<V>, token: FillToken) -> Answer<Self::Fill> {
        Answer::Now(Ok(self.shared.fill(key, entry, token)))
    }

    fn invalidate(&self, key: &K) -> Answer<Self::Remove> {
        self.remove(key);
        Answer::Now(Ok(()))
    }

    fn invalidate_tag(&self, tag: &str) -> Answer<Self::Remove> {
        self.remove_tag(tag);
        Answer::Now(Ok(()))
    }

    fn invalidate_all(&self) -> Answer<Self::Remove> {
        self.clear();
        Answer::Now(Ok(()))
    }
}

impl<K, V> Fresh for MemoryStore<K, V>
where
    K: Eq + Hash,
    V: Clone,
{
    /// An empty store with the same settings.
    fn fresh(&self) -> Self {
        Self::with_settings(self.shared.settings.clone())
    }

    /// A store that stores nothing.
    fn bypass(&self) -> Self {
        Self::with_settings(Settings { capacity: 0, largest: 0, ..self.shared.settings.clone() })
    }
}

impl<K, V> Clone for MemoryStore<K, V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K, V> fmt::Debug for MemoryStore<K, V>
where
    K: Eq + Hash,
    V: Clone,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

// ===== impl Shared =====

impl<K, V> Shared<K, V>
where
    K: Eq + Hash,
    V: Clone,
{
    fn fill(&self, key: K, entry: Entry<V>, token: FillToken) -> Stored {
        let lifetime = entry.lifetime();
        let marks = Marks::new(entry.tags.iter().map(|tag| self.place(tag)));
        let weight = match &self.settings.weigher {
            Some(weigher) => weigher.weigh(&key, &entry.value),
            None => 1,
        };
        let hash = self.hasher.hash_one(&key);
        let slot = Slot {
            // These two are known when it is this one's turn.
            value: (),
            id: 0,
            weight: weight.saturating_add(self.settings.overhead).max(1),
            lifetime,
            number: token.number(),
            marks,
            cost: micros(entry.cost),
        };
        // All that is left over goes when no lock is held any more: values may come back to the store when they are dropped.
        let mut entry = Some((key, entry.value));
        let mut evicted = Evicted::default();
        let mut replaced = None;
        let stored = {
            let mut ordered = self.generations.lock_key(hash);
            let id = self.generations.next_fill(&mut ordered, hash);
            self.admit(hash, id, slot, &mut entry, &mut evicted, &mut replaced)
        };
        count(&self.counters.evictions, evicted.count);
        match stored {
            Stored::TooHeavy { .. } => count(&self.counters.too_heavy, 1),
            Stored::Outdated => count(&self.counters.outdated, 1),
            Stored::Kept | Stored::NoLifetime => {}
        }
        stored
    }

    /// Under the key's lock: a removal of the key comes before all of this, or after it. What is refused stays in `entry`
    /// or `evicted`.
    #[inline]
    fn admit(
        &self,
        hash: u64,
        id: u32,
        slot: Slot<()>,
        entry: &mut Option<(K, V)>,
        evicted: &mut Evicted<K, V>,
        replaced: &mut Option<(K, Slot<V>)>,
    ) -> Stored {
        const THERE: &str = "the entry is there until it is inserted";
        if self.generations.is_key_dead(slot.number, hash) || self.generations.is_dead(slot.number, &slot.marks) {
            return Stored::Outdated;
        }
        let (key, _) = entry.as_ref().expect(THERE);
        if slot.lifetime.is_empty() {
            *replaced = self.cache.remove(key);
            return Stored::NoLifetime;
        }
        if slot.weight > self.settings.largest {
            *replaced = self.cache.remove(key);
            return Stored::TooHeavy { weight: slot.weight, largest: self.settings.largest };
        }
        evicted.own = Some(id);
        let (key, value) = entry.take().expect(THERE);
        let Slot { value: (), id: _, weight, lifetime, number, marks, cost } = slot;
        self.cache.insert_with_lifecycle(key, Slot { value, id, weight, lifetime, number, marks, cost }, evicted);
        // The engine makes room for a heavier value only after it has taken the place of the old one, and may choose that
        // very entry. It then remembers the key, or not even that, and takes the value as a new one.
        for _ in 0..2 {
            let Some((key, slot)) = evicted.bounced.take() else { break };
            self.cache.insert_with_lifecycle(key, slot, evicted);
        }
        evicted.count += u64::from(evicted.bounced.is_some());
        Stored::Kept
    }

    /// What is under `key` leaves if it is dead at `now`. Another one may have taken its place: that one stays if it is
    /// alive.
    #[cold]
    fn leave<Q>(&self, key: &Q, now: Instant)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let dead = |slot: &Slot<V>| {
            slot.lifetime.at(now) == Freshness::Expired || self.generations.is_dead(slot.number, &slot.marks)
        };
        if let Some((_, slot)) = self.cache.remove_if(key, dead) {
            let expired = slot.lifetime.at(now) == Freshness::Expired;
            count(if expired { &self.counters.expired } else { &self.counters.untagged }, 1);
        }
    }

    fn place(&self, tag: &str) -> u16 {
        self.generations.place(self.hasher.hash_one(tag))
    }
}

// ===== impl Settings =====

impl<K, V> Clone for Settings<K, V> {
    fn clone(&self) -> Self {
        Self { weigher: self.weigher.clone(), ..*self }
    }
}
