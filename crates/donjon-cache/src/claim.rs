use std::sync::Arc;

use donjon_store::{Answer, Entry, FillToken, Store};

use crate::core::Core;

/// The right to bring a value under a key. Dropped without having brought one, it is given back.
pub(crate) struct Claim<K, V, St>
where
    St: Store<K, V>,
{
    core: Arc<Core<K, V, St>>,
    key: Option<K>,
    token: FillToken,
    /// Whether there is a value that the next one is to replace.
    replaces: bool,
}

const HELD: &str = "a claim holds its key until it is used";

// ===== impl Claim =====

impl<K, V, St> Claim<K, V, St>
where
    St: Store<K, V>,
{
    pub(crate) fn new(core: Arc<Core<K, V, St>>, key: K, token: FillToken, replaces: bool) -> Self {
        Self { core, key: Some(key), token, replaces }
    }

    pub(crate) fn key(&self) -> &K {
        self.key.as_ref().expect(HELD)
    }

    pub(crate) fn fill(mut self, entry: Entry<V>) -> Answer<St::Fill> {
        let key = self.key.take().expect(HELD);
        self.core.store.fill(key, entry, self.token)
    }

    /// The answer is not to be kept. What it was to replace is outdated, and goes.
    pub(crate) fn give_up(self) -> Option<Answer<St::Remove>> {
        self.replaces.then(|| self.core.store.invalidate(self.key()))
    }
}

impl<K, V, St> Drop for Claim<K, V, St>
where
    St: Store<K, V>,
{
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.core.store.abandon(&key, self.token);
        }
    }
}
