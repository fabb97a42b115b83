use std::sync::Arc;

use donjon_store::Answer;
use tokio::runtime::Handle;

use crate::{CacheStore, core::Core, stats::count};

/// A call that goes through, and changes what is stored under a tag. Dropped, however the call has ended, it removes that.
pub(crate) struct Changes<K, V, St>
where
    St: CacheStore<K, V>,
{
    core: Arc<Core<K, V, St>>,
    tag: String,
}

// ===== impl Changes =====

impl<K, V, St> Changes<K, V, St>
where
    St: CacheStore<K, V>,
{
    pub(crate) fn new(core: Arc<Core<K, V, St>>, tag: String) -> Self {
        Self { core, tag }
    }
}

impl<K, V, St> Drop for Changes<K, V, St>
where
    St: CacheStore<K, V>,
{
    fn drop(&mut self) {
        let core = &self.core;
        match core.store.invalidate_tag(&self.tag) {
            Answer::Now(Ok(())) => {}
            Answer::Now(Err(_)) => count(&core.counters.store_errors),
            // A store on another machine: the caller may have gone, and the removal is owed all the same.
            Answer::Later(remove) => match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(remove)),
                Err(_) => count(&core.counters.store_errors),
            },
        }
        core.retire_tagged(&self.tag);
    }
}
