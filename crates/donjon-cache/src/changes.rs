use std::sync::Arc;

use donjon_store::Store;

use crate::core::Core;

/// A call that goes through, and changes what is stored under a tag. Dropped, however the call has ended, it removes that.
pub(crate) struct Changes<K, V, St>
where
    St: Store<K, V>,
{
    core: Arc<Core<K, V, St>>,
    tag: String,
}

// ===== impl Changes =====

impl<K, V, St> Changes<K, V, St>
where
    St: Store<K, V>,
{
    pub(crate) fn new(core: Arc<Core<K, V, St>>, tag: String) -> Self {
        Self { core, tag }
    }
}

impl<K, V, St> Drop for Changes<K, V, St>
where
    St: Store<K, V>,
{
    fn drop(&mut self) {
        let core = &self.core;
        drop(core.store.invalidate_tag(&self.tag));
        core.flights.retire_if(&|key| core.own_tag(key).is_some_and(|tag| tag == self.tag));
    }
}
