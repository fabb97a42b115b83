use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use donjon_core::{OutOfRange, state_changed};
use donjon_store::{MemoryStore, Never, Store};

use crate::{LAYER, Stats, core::Core};

/// The operator's end of a [`CacheLayer`](crate::CacheLayer): removals, its knobs while it runs, and its figures.
///
/// It stays valid when every layer and service is gone, and keeps no refresh going.
pub struct Handle<K, V, St = MemoryStore<K, V>> {
    core: Arc<Core<K, V, St>>,
}

/// A removal that is done at once.
pub(crate) type Removed = Never<Result<(), Infallible>>;

// ===== impl Handle =====

impl<K, V, St> Handle<K, V, St> {
    pub(crate) fn new(core: Arc<Core<K, V, St>>) -> Self {
        Self { core }
    }

    /// The figures now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core.counters.stats()
    }

    /// The store. What is removed there directly, and not through this handle, may still be answered to those who join a
    /// call that runs.
    #[must_use]
    pub fn store(&self) -> &St {
        &self.core.store
    }

    /// For how long what is stored from now on is fresh. Zero: not at all.
    ///
    /// # Errors
    ///
    /// None: every duration means something. The result is there as on every other handle.
    pub fn set_ttl(&self, ttl: Duration) -> Result<(), OutOfRange> {
        self.core.control.set_ttl(ttl);
        state_changed(LAYER, "ttl", format_args!("{ttl:?}"));
        Ok(())
    }

    /// For how long a stale value is served at once, of what is stored from now on; of what is there already for no longer
    /// than was said when it was stored.
    ///
    /// # Errors
    ///
    /// None: every duration means something. The result is there as on every other handle.
    pub fn set_stale_while_revalidate(&self, window: Duration) -> Result<(), OutOfRange> {
        self.core.control.set_stale_while_revalidate(window);
        Ok(())
    }

    /// For how long a stale value is served instead of a failure, of what is stored from now on; of what is there already
    /// for no longer than was said when it was stored.
    ///
    /// # Errors
    ///
    /// None: every duration means something. The result is there as on every other handle.
    pub fn set_stale_if_error(&self, window: Duration) -> Result<(), OutOfRange> {
        self.core.control.set_stale_if_error(window);
        Ok(())
    }

    /// How many refreshes may run at a time from now on; those that run go on.
    ///
    /// # Errors
    ///
    /// None: every number means something. The result is there as on every other handle.
    pub fn set_max_refreshes(&self, max: usize) -> Result<(), OutOfRange> {
        self.core.control.set_max_refreshes(max);
        Ok(())
    }
}

/// Removals from any store. They are not begun before they are awaited; those of a store in the process have
/// [`invalidate`](Handle::invalidate) and its like, which need not be.
impl<K, V, St> Handle<K, V, St>
where
    St: Store<K, V>,
{
    /// Removes what is under this key.
    ///
    /// # Errors
    ///
    /// That of the store: it is not known then what was removed.
    pub async fn remove(&self, key: &K) -> Result<(), St::Error> {
        let removed = self.core.store.invalidate(key).await;
        self.core.flights.retire(key);
        removed
    }

    /// Removes whatever has this tag.
    ///
    /// # Errors
    ///
    /// That of the store: it is not known then what was removed.
    pub async fn remove_tag(&self, tag: &str) -> Result<(), St::Error> {
        let removed = self.core.store.invalidate_tag(tag).await;
        self.core.flights.retire_all();
        removed
    }

    /// Removes everything.
    ///
    /// # Errors
    ///
    /// That of the store: it is not known then what was removed.
    pub async fn remove_all(&self) -> Result<(), St::Error> {
        let removed = self.core.store.invalidate_all().await;
        self.core.flights.retire_all();
        if removed.is_ok() {
            state_changed(LAYER, "values", "all removed");
        }
        removed
    }
}

/// Removals from a store in the process, which are done when these return. What is being made from what is removed is not
/// kept, and nobody joins a call from before.
impl<K, V, St> Handle<K, V, St>
where
    St: Store<K, V, Error = Infallible, Remove = Removed>,
{
    /// Removes what is under this key.
    pub fn invalidate(&self, key: &K) {
        let Ok(()) = self.core.store.invalidate(key).into_inner();
        self.core.flights.retire(key);
    }

    /// Removes whatever has this tag.
    pub fn invalidate_tag(&self, tag: &str) {
        let Ok(()) = self.core.store.invalidate_tag(tag).into_inner();
        // Which tags an answer will have is not known before it is there.
        self.core.flights.retire_all();
    }

    /// Removes whatever has this tag, which values have by their keys.
    #[cfg(feature = "http")]
    pub(crate) fn invalidate_own_tag(&self, tag: &str) {
        let Ok(()) = self.core.store.invalidate_tag(tag).into_inner();
        self.core.retire_tagged(tag);
    }

    /// Removes everything.
    pub fn invalidate_all(&self) {
        let Ok(()) = self.core.store.invalidate_all().into_inner();
        self.core.flights.retire_all();
        state_changed(LAYER, "values", "all removed");
    }
}

impl<K, V, St> Clone for Handle<K, V, St> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core) }
    }
}

impl<K, V, St> fmt::Debug for Handle<K, V, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
