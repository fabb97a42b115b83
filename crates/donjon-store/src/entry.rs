use std::{borrow::Cow, time::Duration};

use tokio::time::Instant;

use crate::{Freshness, Lifetime};

/// A value on its way into a store: with its lifetime, its tags, and what it cost to make.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_store::Entry;
/// use tokio::time::Instant;
///
/// let entry = Entry::new("Ada", Instant::now())
///     .fresh_for(Duration::from_secs(60))
///     .stale_for(Duration::from_secs(600))
///     .tag("users");
/// assert_eq!(entry.tags().collect::<Vec<_>>(), ["users"]);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Entry<V> {
    pub(crate) value: V,
    created: Instant,
    fresh: Duration,
    stale: Duration,
    pub(crate) cost: Duration,
    pub(crate) tags: Vec<Cow<'static, str>>,
}

/// A value that a store had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<V> {
    value: V,
    lifetime: Lifetime,
    cost: Duration,
}

// ===== impl Entry =====

impl<V> Entry<V> {
    /// A value made at `created`. It has no lifetime yet, and without one no store keeps it.
    pub fn new(value: V, created: Instant) -> Self {
        Self { value, created, fresh: Duration::ZERO, stale: Duration::ZERO, cost: Duration::ZERO, tags: Vec::new() }
    }

    /// For how long it is fresh. Zero, the default: not at all.
    pub fn fresh_for(mut self, fresh: Duration) -> Self {
        self.fresh = fresh;
        self
    }

    /// For how long it may be served stale after that. Zero, the default: not at all.
    pub fn stale_for(mut self, stale: Duration) -> Self {
        self.stale = stale;
        self
    }

    /// How long it took to make the value, which says how early to make the next one. Zero, the default, if unknown.
    pub fn cost(mut self, cost: Duration) -> Self {
        self.cost = cost;
        self
    }

    /// One more tag, by which it can be removed together with others.
    pub fn tag(mut self, tag: impl Into<Cow<'static, str>>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// The value.
    pub fn value(&self) -> &V {
        &self.value
    }

    /// Its lifetime.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        Lifetime::new(self.created, self.fresh).stale_for(self.stale)
    }

    /// Its tags, in the order they were added.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tags.iter().map(AsRef::as_ref)
    }
}

// ===== impl Found =====

impl<V> Found<V> {
    /// A value with its lifetime, and how long it took to make (zero if unknown): for a store of your own.
    #[must_use]
    #[inline]
    pub fn new(value: V, lifetime: Lifetime, cost: Duration) -> Self {
        Self { value, lifetime, cost }
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &V {
        &self.value
    }

    /// The value itself.
    #[must_use]
    #[inline]
    pub fn into_value(self) -> V {
        self.value
    }

    /// Its lifetime.
    #[must_use]
    #[inline]
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// How long it took to make; zero if unknown.
    #[must_use]
    #[inline]
    pub fn cost(&self) -> Duration {
        self.cost
    }

    /// What it is worth at `now`.
    #[must_use]
    pub fn at(&self, now: Instant) -> Freshness {
        self.lifetime.at(now)
    }
}
