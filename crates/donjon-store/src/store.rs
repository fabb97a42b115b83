use std::future::Future;

use tokio::time::Instant;

use crate::{Answer, Entry, Found};

/// Where cached values live.
///
/// A store in the process answers at once; one on another machine answers later: see [`Answer`]. A store is shared by
/// reference, and its clones, if it has any, are the same store.
///
/// # Filling
///
/// A lookup that finds nothing fresh gives a [`FillToken`], and a value made because of it comes back with the token.
/// Whatever was removed in between, by key, by tag or with everything, ends the token: the value was made from what has
/// changed since, and [`fill`](Store::fill) does not keep it. A store that several machines share grants one token
/// at a time for a key, as a lease, and tells the others so: [`FillToken::is_leader`].
///
/// # Cancellation
///
/// Dropping an answer that is to come later may leave undone what was asked for. Whoever has a token and gives up says
/// so with [`abandon`](Store::abandon); a lease that nobody gives back ends by time.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not keep values `{V}` under keys `{K}`",
    label = "not a store of these keys and values",
    note = "`MemoryStore<K, V>` is one where `K: Eq + Hash` and `V: Clone`"
)]
pub trait Store<K, V> {
    /// Why a store could not answer. `Infallible` for a store in the process.
    type Error;

    /// A lookup that is answered later.
    type Lookup: Future<Output = Result<Lookup<V>, Self::Error>>;

    /// A fill that is answered later.
    type Fill: Future<Output = Result<Stored, Self::Error>>;

    /// A removal that is answered later.
    type Remove: Future<Output = Result<(), Self::Error>>;

    /// What there is under `key` at `now`.
    fn lookup(&self, key: &K, now: Instant) -> Answer<Self::Lookup>;

    /// A lookup by one who wants to bring the next value though there may still be a fresh one: that one is answered as
    /// [`Lookup::Stale`] then, with a token. By default it is a plain [`lookup`](Store::lookup), and no value is renewed
    /// before its time.
    fn renew(&self, key: &K, now: Instant) -> Answer<Self::Lookup> {
        self.lookup(key, now)
    }

    /// Keeps a value that was made for a lookup that gave `token`.
    fn fill(&self, key: K, entry: Entry<V>, token: FillToken) -> Answer<Self::Fill>;

    /// No value will come for `token`. By default nothing happens.
    fn abandon(&self, key: &K, token: FillToken) {
        let _ = (key, token);
    }

    /// Removes what is under `key`, and ends the fills for it that are under way.
    fn invalidate(&self, key: &K) -> Answer<Self::Remove>;

    /// Removes whatever has this tag, and ends the fills under way that will have it.
    fn invalidate_tag(&self, tag: &str) -> Answer<Self::Remove>;

    /// Removes everything, and ends all fills that are under way.
    fn invalidate_all(&self) -> Answer<Self::Remove>;
}

/// What a store had under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup<V> {
    /// A fresh value.
    Fresh(Found<V>),
    /// A value past its time that may still be served, and the right to bring the next one.
    Stale(Found<V>, FillToken),
    /// Nothing, and the right to bring something.
    Miss(FillToken),
}

/// The right to bring a value, as of a lookup; see [`Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillToken {
    number: u64,
    leader: bool,
}

/// What became of a value that was brought to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Stored {
    /// It is kept.
    Kept,
    /// Refused: heavier than any entry may be. What was under its key is gone too, for it is not the newest any more.
    TooHeavy {
        /// What the entry weighs, with the overhead of an entry.
        weight: u64,
        /// What an entry may weigh at most.
        largest: u64,
    },
    /// Refused: it would be of no use even now. What was under its key is gone too.
    NoLifetime,
    /// Refused: its key, one of its tags or everything was removed after the lookup that it was made for.
    Outdated,
}

// ===== impl Lookup =====

impl<V> Lookup<V> {
    /// The value if it is fresh.
    #[must_use]
    pub fn fresh(self) -> Option<Found<V>> {
        match self {
            Self::Fresh(found) => Some(found),
            _ => None,
        }
    }

    /// The value, fresh or stale.
    #[must_use]
    pub fn found(self) -> Option<Found<V>> {
        match self {
            Self::Fresh(found) | Self::Stale(found, _) => Some(found),
            Self::Miss(_) => None,
        }
    }

    /// The right to bring a value, unless there is a fresh one.
    #[must_use]
    pub fn token(&self) -> Option<FillToken> {
        match self {
            Self::Fresh(_) => None,
            Self::Stale(_, token) | Self::Miss(token) => Some(*token),
        }
    }
}

// ===== impl FillToken =====

impl FillToken {
    /// A token of a store of your own; `number` is whatever that store knows it by. Its holder is the leader.
    #[must_use]
    #[inline]
    pub const fn new(number: u64) -> Self {
        Self { number, leader: true }
    }

    /// The same for somebody who is not the leader: another one, on another machine, already makes the value.
    #[must_use]
    pub const fn follower(self) -> Self {
        Self { leader: false, ..self }
    }

    /// What the store that gave it knows it by.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }

    /// Whether the holder is the one to make the value. A store in the process says so to everybody: that one of
    /// many makes the value is there the work of a single-flight.
    #[must_use]
    pub const fn is_leader(self) -> bool {
        self.leader
    }
}

// ===== impl Stored =====

impl Stored {
    /// Whether it is kept.
    #[must_use]
    pub const fn is_kept(self) -> bool {
        matches!(self, Self::Kept)
    }
}
