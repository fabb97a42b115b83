use std::{
    borrow::Borrow,
    fmt,
    hash::Hash,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use donjon_core::{Fresh, OutOfRange, RejectionKind, state_changed};

use crate::{LAYER, kept, keys::MOST, layer::Shared};

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
    /// How many calls were refused by the layer of their key, or by whatever is inside of it: they ended with an error
    /// that is a [`Rejection`](donjon_core::Rejection). Calls that share a state, for want of a key or of room, are among
    /// them; calls that are refused here for the want of it, and those that go past the layer, are not.
    pub refused: u64,
    /// The same, by kind.
    pub(crate) by_kind: [u64; kept::PLACES],
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
        Some(look(&lease.layer))
    }

    /// Calls `look` with each key and its layer, in no order, as [`with`](Self::with) does.
    pub fn each(&self, mut look: impl FnMut(&K, &L))
    where
        K: Clone,
    {
        let mut all = Vec::new();
        self.shared.keys.each(|key, lease| all.push((key.clone(), Arc::clone(lease))));
        for (key, lease) in all {
            look(&key, &lease.layer);
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

    /// Calls `look` with the layer that keys get a [fresh](Fresh::fresh) one of: what is changed through its handle holds
    /// for the keys that come afterwards, where `fresh` takes over the settings of the moment, as donjon's own layers do.
    /// No call goes through this layer itself.
    ///
    /// Keys that have a state keep theirs: see [`each`](Self::each). So do the [keyless](Self::with_keyless) and those
    /// [without room](Self::with_overflow). After how long an idle key leaves does not change by itself, where a limit is
    /// changed to one that [remembers](Fresh::memory) for longer: see [`set_idle`](Self::set_idle).
    ///
    /// ```
    /// use donjon_core::Rejection;
    /// use donjon_per_key::PerKeyLayer;
    /// use donjon_rate_limit::{Rate, RateLimitLayer};
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let per_user = PerKeyLayer::new(|user: &&'static str| Some(*user), RateLimitLayer::new(Rate::per_second(20)));
    /// let service = per_user.layer(service_fn(|_: &'static str| async { Ok::<_, Rejection>(()) }));
    /// service.clone().oneshot("ann").await.unwrap();
    ///
    /// let (handle, half) = (per_user.handle(), Rate::per_second(10));
    /// handle.with_template(|limit| limit.handle().set_rate(half))?;
    /// service.oneshot("bob").await.unwrap();
    /// assert_eq!(handle.with("ann", |limit| limit.handle().rate()), Some(Rate::per_second(20)));
    /// assert_eq!(handle.with("bob", |limit| limit.handle().rate()), Some(half));
    /// // Those that are there as well.
    /// handle.each(|_, limit| limit.handle().set_rate(half).expect("it is in range"));
    /// # Ok::<(), donjon_core::OutOfRange>(()) }).unwrap();
    /// ```
    pub fn with_template<T>(&self, look: impl FnOnce(&L) -> T) -> T {
        look(&self.shared.template.layer)
    }

    /// Calls `look` with the layer that calls without a key share, if they do: see
    /// [`Unkeyed::Share`](crate::Unkeyed::Share).
    pub fn with_keyless<T>(&self, look: impl FnOnce(&L) -> T) -> T {
        look(&self.shared.keyless.layer)
    }

    /// Calls `look` with the layer that calls without room share, if they do.
    pub fn with_overflow<T>(&self, look: impl FnOnce(&L) -> T) -> T {
        look(&self.shared.overflow.layer)
    }

    /// How many keys may have a state from now on. Those that are too many leave at once, unless they are in use. Each
    /// key is looked at for that, a few of them under each lock.
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
        state_changed(LAYER, "max_keys", max);
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
        state_changed(LAYER, "idle", format_args!("{idle:?}"));
        Ok(())
    }

    /// The figures now. Keys that have been idle for too long leave first. It looks at every key.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &*self.shared;
        shared.keys.tidy();
        let (keys, busy, counts) = shared.keys.figures();
        let by_kind = shared.template.refusals().read();
        Stats {
            max_keys: shared.keys.max(),
            keys,
            busy,
            created: counts.created,
            evicted: counts.evicted,
            expired: counts.expired,
            without_key: shared.without_key.load(Ordering::Relaxed),
            when_full: shared.when_full.load(Ordering::Relaxed),
            refused: by_kind.iter().sum(),
            by_kind,
        }
    }
}

// ===== impl Stats =====

impl Stats {
    /// How many calls were [refused](Self::refused) as this kind.
    #[must_use]
    pub fn refused_as(&self, kind: RejectionKind) -> u64 {
        self.by_kind[kept::place(kind)]
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
