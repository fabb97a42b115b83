use std::{fmt, marker::PhantomData, sync::Arc};

use donjon_core::Fresh;

use crate::{control::Control, refresh::Refreshes, registry::Registry, stats::Counters};

/// What a layer value owns. When it goes, the refreshes end; they hold the [`Core`] and not this.
pub(crate) struct State<K, V, St> {
    core: Arc<Core<K, V, St>>,
}

/// What all services of a layer value share, and its tasks.
pub(crate) struct Core<K, V, St> {
    pub(crate) store: St,
    pub(crate) control: Control,
    pub(crate) counters: Counters,
    pub(crate) flights: Registry<K>,
    pub(crate) refreshes: Refreshes<K>,
    by_key: ByKey<K>,
    values: PhantomData<fn() -> V>,
}

/// What follows from a key alone.
pub(crate) struct ByKey<K> {
    /// The tags that every value has by its key.
    tags: Option<fn(&K) -> Vec<String>>,
    /// The key as it is stored.
    stored: Option<fn(&K) -> K>,
}

// ===== impl ByKey =====

impl<K> ByKey<K> {
    /// Nothing: no tags, and the key is stored as it is.
    pub(crate) const NOTHING: Self = Self { tags: None, stored: None };

    #[cfg(feature = "http")]
    pub(crate) fn new(tags: fn(&K) -> Vec<String>, stored: fn(&K) -> K) -> Self {
        Self { tags: Some(tags), stored: Some(stored) }
    }
}

impl<K> Clone for ByKey<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for ByKey<K> {}

// ===== impl State =====

impl<K, V, St> State<K, V, St> {
    pub(crate) fn new(store: St, control: Control, max_followers: Option<usize>, by_key: ByKey<K>) -> Self {
        let core = Core {
            store,
            control,
            counters: Counters::default(),
            flights: Registry::new(max_followers),
            refreshes: Refreshes::new(),
            by_key,
            values: PhantomData,
        };
        Self { core: Arc::new(core) }
    }

    pub(crate) fn core(&self) -> &Arc<Core<K, V, St>> {
        &self.core
    }

    /// The same settings over another store.
    pub(crate) fn over<W, T>(&self, store: T) -> State<K, W, T> {
        State::new(store, self.core.control.fresh(), self.core.flights.max_followers(), self.core.by_key)
    }

    pub(crate) fn fresh(&self) -> Self
    where
        St: Fresh,
    {
        self.over(self.core.store.fresh())
    }

    /// An empty state with these settings.
    pub(crate) fn with_control(&self, control: impl FnOnce(&Control) -> Control) -> Self
    where
        St: Fresh,
    {
        let core = &self.core;
        State::new(core.store.fresh(), control(&core.control), core.flights.max_followers(), core.by_key)
    }

    pub(crate) fn with_max_followers(&self, max: usize) -> Self
    where
        St: Fresh,
    {
        let core = &self.core;
        State::new(core.store.fresh(), core.control.fresh(), Some(max), core.by_key)
    }
}

impl<K, V, St> Drop for State<K, V, St> {
    fn drop(&mut self) {
        self.core.refreshes.end();
    }
}

impl<K, V, St> fmt::Debug for State<K, V, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

// ===== impl Core =====

impl<K, V, St> Core<K, V, St> {
    /// The tags that a value has by its key.
    pub(crate) fn own_tags(&self, key: &K) -> Vec<String> {
        self.by_key.tags.map_or_else(Vec::new, |tags| tags(key))
    }

    /// Nobody joins a call any more whose answer will have this tag by its key, and it is not stored.
    pub(crate) fn retire_tagged(&self, tag: &str) {
        self.flights.retire_if(&|key| self.own_tags(key).iter().any(|own| own == tag));
    }

    pub(crate) fn stored_key(&self, key: K) -> K {
        match self.by_key.stored {
            Some(stored) => stored(&key),
            None => key,
        }
    }
}

impl<K, V, St> fmt::Debug for Core<K, V, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("control", &self.control)
            .field("stats", &self.counters.stats())
            .finish_non_exhaustive()
    }
}
