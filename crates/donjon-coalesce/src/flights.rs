use std::{
    fmt,
    hash::{BuildHasher, Hash},
    pin::Pin,
    ptr,
    sync::Arc,
    task::{Context, Poll},
};

use hashbrown::{DefaultHashBuilder, HashTable};
use pin_project_lite::pin_project;

use crate::{
    Joined, Run, Stats,
    control::{Control, count},
    flight::Flight,
    seat::Seat,
    sync::{Mutex, lock},
};

/// A power of two, so that callers with different keys seldom meet at one lock.
#[cfg(not(all(test, donjon_loom)))]
const SHARDS: usize = 16;
#[cfg(all(test, donjon_loom))]
const SHARDS: usize = 1;

/// The calls in flight, one a key: whoever comes with the key of one that runs joins it.
///
/// The primitive behind [`CoalesceLayer`](crate::CoalesceLayer), without any `Service` in it. `K` is the key, `V` what a
/// call answers with, and `E` how it fails. Clones are the same.
///
/// # Example
///
/// ```
/// use donjon_coalesce::{Flights, Landing, Role};
/// use donjon_core::Rejection;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let flights: Flights<&str, u64, Rejection> = Flights::new();
///
/// let Role::Lead(lead) = flights.enter("answer") else { panic!("nobody else is here") };
/// let leader = lead.start(async {
///     tokio::task::yield_now().await;
///     Ok(42)
/// });
/// let Role::Follow(follower) = flights.enter("answer") else { panic!("the call of the key runs") };
///
/// // Whoever leaves, the others have the answer.
/// drop(leader);
/// assert!(matches!(follower.await, Landing::Own(Ok(42))), "it has driven the call to its end");
/// assert!(flights.is_empty());
/// # });
/// ```
pub struct Flights<K, V, E> {
    map: Arc<Map<K, V, E>>,
}

/// What a caller is to the call of its key.
#[must_use]
pub enum Role<K, V, E> {
    /// There was none: this one starts it.
    Lead(Lead<K, V, E>),
    /// It runs, and this one has joined it.
    Follow(Joined<K, V, E>),
    /// It runs, and has as many followers as it may have.
    Full,
}

/// The right and the duty to start the call of a key. Dropped without having started it, the key is free, and whoever
/// has joined meanwhile starts again.
#[must_use]
pub struct Lead<K, V, E> {
    seat: Seat<K, V, E>,
}

/// To enter again: what is left of a call that ended without an answer for this caller.
#[must_use]
pub struct Again<K, V, E> {
    map: Arc<Map<K, V, E>>,
    flight: Arc<Flight<K, V, E>>,
}

pin_project! {
    /// A future of which nothing is known: once polled, it may have sent something.
    struct Opaque<F> {
        #[pin]
        future: F,
    }
}

/// Where the flights are found.
pub(crate) struct Map<K, V, E> {
    hasher: DefaultHashBuilder,
    shards: Box<[Mutex<Shard<K, V, E>>]>,
    pub(crate) control: Arc<Control>,
}

type Shard<K, V, E> = HashTable<Arc<Flight<K, V, E>>>;

// ===== impl Flights =====

impl<K, V, E> Flights<K, V, E> {
    /// No call in flight; at most 1,024 followers a call.
    #[must_use]
    pub fn new() -> Self {
        Self::with_control(Arc::new(Control::new()))
    }

    pub(crate) fn with_control(control: Arc<Control>) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(HashTable::new())).collect();
        Self { map: Arc::new(Map { hasher: DefaultHashBuilder::default(), shards, control }) }
    }

    /// At most this many callers join one call at the same time: 1,024 unless said. With 0 nobody joins: a second
    /// caller finds the call [`Full`](Role::Full).
    #[must_use]
    pub fn max_followers(self, max: usize) -> Self {
        self.map.control.set_max_followers(max);
        self
    }

    /// How many calls are in flight.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.control.stats().in_flight
    }

    /// Whether no call is in flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The figures now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.map.control.stats()
    }
}

impl<K: Hash + Eq, V, E> Flights<K, V, E> {
    /// Joins the call of this key, or is to start one.
    pub fn enter(&self, key: K) -> Role<K, V, E> {
        self.clone().into_role(key)
    }

    /// The same for one that has no more use for this.
    pub fn into_role(self, key: K) -> Role<K, V, E> {
        let max = self.map.control.max_followers();
        Map::enter(self.map, key, max)
    }

    /// Nobody joins the call of this key from now on, if it runs: whoever comes next starts another one. Those who have
    /// joined stay, and what it answers is still theirs. For when something has changed that a call from before may not
    /// have seen.
    pub fn retire(&self, key: &K) {
        self.map.retire_key(key);
    }
}

impl<K, V, E> Flights<K, V, E> {
    /// Nobody joins any of the calls that run now: as [`retire`](Self::retire), for all keys.
    pub fn retire_all(&self) {
        self.retire_if(|_| true);
    }

    /// The same for those of some keys. All keys in flight are looked at, each under a lock: `which` is to be quick, and
    /// not to come back here.
    pub fn retire_if(&self, which: impl Fn(&K) -> bool) {
        self.map.retire_if(which);
    }
}

impl<K, V, E> Clone for Flights<K, V, E> {
    fn clone(&self) -> Self {
        Self { map: Arc::clone(&self.map) }
    }
}

impl<K, V, E> Default for Flights<K, V, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V, E> fmt::Debug for Flights<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

// ===== impl Map =====

impl<K, V, E> Map<K, V, E> {
    fn shard(&self, hash: u64) -> &Mutex<Shard<K, V, E>> {
        // The table itself goes by the lowest and the highest bits.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    /// Nobody finds this flight from now on. It may be called twice.
    pub(crate) fn retire(&self, flight: &Flight<K, V, E>) {
        let mut shard = lock(self.shard(flight.hash()));
        let found = shard.find_entry(flight.hash(), |other| ptr::eq(Arc::as_ptr(other), flight));
        let gone = found.ok().map(|entry| entry.remove().0);
        drop(shard);
        if gone.is_some() {
            self.control.ended();
        }
    }

    fn retire_if(&self, which: impl Fn(&K) -> bool) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let gone: Vec<_> = shard.extract_if(|flight| which(flight.key())).collect();
            // Dropped without the lock.
            drop(shard);
            gone.iter().for_each(|_| self.control.ended());
        }
    }
}

impl<K: Hash + Eq, V, E> Map<K, V, E> {
    fn retire_key(&self, key: &K) {
        let hash = self.hasher.hash_one(key);
        let mut shard = lock(self.shard(hash));
        let found = shard.find_entry(hash, |other| other.hash() == hash && other.key() == key);
        let gone = found.ok().map(|entry| entry.remove().0);
        drop(shard);
        if gone.is_some() {
            self.control.ended();
        }
    }

    fn enter(this: Arc<Self>, key: K, max_followers: usize) -> Role<K, V, E> {
        let hash = this.hasher.hash_one(&key);
        let mut shard = lock(this.shard(hash));
        if let Some(flight) = shard.find(hash, |other| other.hash() == hash && *other.key() == key) {
            let seat = flight.sit(max_followers).map(|ticket| (Arc::clone(flight), ticket));
            drop(shard);
            return match seat {
                Some((flight, ticket)) => {
                    count(&this.control.joined);
                    Role::Follow(Joined::new(Seat::new(this, flight, ticket)))
                }
                None => {
                    count(&this.control.refused);
                    Role::Full
                }
            };
        }
        let flight = Arc::new(Flight::new(key, hash));
        shard.insert_unique(hash, Arc::clone(&flight), |other| other.hash());
        drop(shard);
        this.control.began();
        Role::Lead(Lead { seat: Seat::first(this, flight) })
    }
}

// ===== impl Lead =====

impl<K, V, E> Lead<K, V, E> {
    /// Starts the call: it runs when the [`Joined`] that this gives is polled, or that of anybody who has joined and has
    /// no less time. Up to its first poll, it is taken to have no deadline.
    ///
    /// The future runs in the ambient [`Scope`](donjon_core::Scope) of whoever polls it.
    pub fn start<F>(self, future: F) -> Joined<K, V, E>
    where
        F: Future<Output = Result<V, E>> + Send + 'static,
    {
        self.seat.start(Box::pin(Opaque { future }));
        Joined::new(self.seat)
    }

    /// The same for one who polls it at once: up to its first poll nobody else does. And the future says whether something
    /// may have been sent.
    pub fn run<F>(mut self, future: F) -> Joined<K, V, E>
    where
        F: Run<Output = Result<V, E>> + Send + 'static,
    {
        self.seat.hold(Box::pin(future));
        Joined::new(self.seat)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &K {
        self.seat.flight().key()
    }
}

impl<K, V, E> fmt::Debug for Lead<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").finish_non_exhaustive()
    }
}

// ===== impl Opaque =====

impl<F: Future> Future for Opaque<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx)
    }
}

impl<F: Future> Run for Opaque<F> {
    fn has_begun(&self) -> bool {
        true
    }
}

// ===== impl Again =====

impl<K, V, E> Again<K, V, E> {
    pub(crate) fn new(seat: &Seat<K, V, E>) -> Self {
        count(&seat.map().control.again);
        Self { map: Arc::clone(seat.map()), flight: Arc::clone(seat.flight()) }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &K {
        self.flight.key()
    }
}

impl<K: Hash + Eq + Clone, V, E> Again<K, V, E> {
    /// Joins the call of the key that somebody else has started meanwhile, or is to start one. Never
    /// [`Full`](Role::Full): whoever had a place keeps it.
    pub fn enter(self) -> Role<K, V, E> {
        Map::enter(self.map, self.flight.key().clone(), usize::MAX)
    }
}

impl<K, V, E> fmt::Debug for Again<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Again").finish_non_exhaustive()
    }
}

// ===== impl Role =====

impl<K, V, E> fmt::Debug for Role<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lead(_) => "Lead(..)",
            Self::Follow(_) => "Follow(..)",
            Self::Full => "Full",
        })
    }
}
