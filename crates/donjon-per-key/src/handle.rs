use std::{
    borrow::Borrow,
    fmt,
    hash::Hash,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use donjon_core::{Fresh, OutOfRange};

use crate::{keys::MOST, layer::Shared};

/// The operator's end of a [`PerKeyLayer`](crate::PerKeyLayer): which keys there are, the state of each, and the bounds.
///
/// It stays valid when every layer and service is gone.
pub struct Handle<K, L> {
    shared: Arc<Shared<L, K>>,
}

/// Figures of a [`PerKeyLayer`](crate::PerKeyLayer), over all clones of the layer and all services it has made.
///
/// Each is exact; read while calls come and go, they need not be of the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many keys may have a state.
    pub max_keys: usize,
    /// How many keys have one.
    pub keys: usize,
    /// How many of them are in use: by a call, or by what came of one, such as a response body that holds a permit.
    pub busy: usize,
    /// How many states were made.
    pub created: u64,
    /// How many states have made room for others, or were [forgotten](Handle::forget).
    pub evicted: u64,
    /// How many states have left after having been idle.
    pub expired: u64,
    /// How many calls had no key.
    pub without_key: u64,
    /// For how many calls there was no room, since all other keys were in use.
    pub when_full: u64,
}

// ===== impl Handle =====

impl<K, L> Handle<K, L> {
    pub(crate) const fn new(shared: Arc<Shared<L, K>>) -> Self {
        Self { shared }
    }
}

impl<K, L: Fresh> Handle<K, L> {
    /// Calls `look` with the layer of this key, if there is one: its own handle can be reached through it. The key counts
    /// as in use meanwhile, but not as used. No lock is held.
    ///
    /// For a limit of its own, `look` changes the settings of this one key, and these leave with the key. Whatever keeps
    /// the state of the layer, such as a handle of it, keeps the key as well.
    ///
    /// ```
    /// use donjon_concurrency_limit::ConcurrencyLimitLayer;
    /// use donjon_core::{Key, Rejection};
    /// use donjon_per_key::PerKeyLayer;
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let per_host = PerKeyLayer::new(|host: &&'static str| Some(*host), ConcurrencyLimitLayer::new(2));
    /// let service = per_host.layer(service_fn(|_: &'static str| async { Ok::<_, Rejection>(()) }));
    /// service.oneshot("example.com").await?;
    ///
    /// let handle = per_host.handle();
    /// let changed = handle.with("example.com", |limit| limit.handle().set_max(8));
    /// assert_eq!(changed, Some(Ok(())));
    /// assert_eq!(handle.with("example.org", |_| ()), None);
    /// # Ok::<(), Rejection>(()) }).unwrap();
    /// ```
    pub fn with<Q, T>(&self, key: &Q, look: impl FnOnce(&L) -> T) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let lease = self.shared.keys.get(key)?;
        Some(look(&lease))
    }

    /// Calls `look` with each key and its layer, in no order, as [`with`](Self::with) does.
    pub fn each(&self, mut look: impl FnMut(&K, &L))
    where
        K: Clone,
    {
        let mut all = Vec::new();
        self.shared.keys.each(|key, lease| all.push((key.clone(), Arc::clone(lease))));
        for (key, lease) in all {
            look(&key, &lease);
        }
    }

    /// The keys that have a state, in no order. Those that have been idle for too long leave first.
    #[must_use]
    pub fn keys(&self) -> Vec<K>
    where
        K: Clone,
    {
        self.shared.keys.tidy();
        let mut keys = Vec::new();
        self.shared.keys.each(|key, _| keys.push(key.clone()));
        keys
    }

    /// Forgets this key, so that its next call finds a fresh state. False if there is no such key, or if it is in use.
    pub fn forget<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.shared.keys.remove(key)
    }

    /// Calls `look` with the layer that calls without a key share, if they do: see
    /// [`Unkeyed::Share`](crate::Unkeyed::Share).
    pub fn with_keyless<T>(&self, look: impl FnOnce(&L) -> T) -> T {
        look(&self.shared.keyless)
    }

    /// Calls `look` with the layer that calls without room share, if they do.
    pub fn with_overflow<T>(&self, look: impl FnOnce(&L) -> T) -> T {
        look(&self.shared.overflow)
    }

    /// How many keys may have a state from now on. Those that are too many leave at once, unless they are in use.
    ///
    /// # Errors
    ///
    /// If `max` is above 4,294,967,294.
    pub fn set_max_keys(&self, max: usize) -> Result<(), OutOfRange> {
        if max > MOST {
            return Err(OutOfRange::new("number of keys", max, "at most 4294967294"));
        }
        self.shared.keys.set_max(max);
        self.shared.keys.tidy();
        Ok(())
    }

    /// After how long an idle key leaves, from now on. Those that have been idle for that long leave at once.
    ///
    /// # Errors
    ///
    /// None: every duration means something. The result is there as on every other handle.
    pub fn set_idle(&self, idle: Duration) -> Result<(), OutOfRange> {
        self.shared.keys.set_idle(idle);
        self.shared.keys.tidy();
        Ok(())
    }

    /// The figures now. Keys that have been idle for too long leave first. It looks at every key.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &*self.shared;
        shared.keys.tidy();
        let (keys, busy, counts) = shared.keys.figures();
        Stats {
            max_keys: shared.keys.max(),
            keys,
            busy,
            created: counts.created,
            evicted: counts.evicted,
            expired: counts.expired,
            without_key: shared.without_key.load(Ordering::Relaxed),
            when_full: shared.when_full.load(Ordering::Relaxed),
        }
    }
}

impl<K, L> Clone for Handle<K, L> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K, L: Fresh> fmt::Debug for Handle<K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("stats", &self.stats()).finish()
    }
}
