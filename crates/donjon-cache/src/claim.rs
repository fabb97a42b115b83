use std::sync::Arc;

use donjon_store::{Answer, Entry, FillToken, Store};

use crate::core::Core;

/// A key, and the right to bring a value under it, if that was granted. Dropped without having brought one, it is given
/// back. Once used, it is only the way to what all share.
pub(crate) struct Claim<K, V, St>
where
    St: Store<K, V>,
{
    core: Arc<Core<K, V, St>>,
    key: Option<K>,
    token: Option<FillToken>,
    /// Whether there is a value that the next one is to replace.
    replaces: bool,
}

const HELD: &str = "a claim holds its key until it is used";

// ===== impl Claim =====

impl<K, V, St> Claim<K, V, St>
where
    St: Store<K, V>,
{
    /// Of this key, without the right.
    pub(crate) fn new(core: Arc<Core<K, V, St>>, key: K) -> Self {
        Self { core, key: Some(key), token: None, replaces: false }
    }

    /// The right, and whether there is a value that the next one is to replace.
    pub(crate) fn grant(&mut self, token: FillToken, replaces: bool) {
        self.token = Some(token);
        self.replaces = replaces;
    }

    pub(crate) fn is_granted(&self) -> bool {
        self.token.is_some()
    }

    /// The token is another one, of a later lookup.
    pub(crate) fn renew(&mut self, token: FillToken) {
        self.token = Some(token);
    }

    pub(crate) fn core(&self) -> &Arc<Core<K, V, St>> {
        &self.core
    }

    pub(crate) fn key(&self) -> &K {
        self.key.as_ref().expect(HELD)
    }

    pub(crate) fn fill(&mut self, entry: Entry<V>) -> Answer<St::Fill> {
        let token = self.token.take().expect("only what was granted is filled");
        let key = self.core.stored_key(self.key.take().expect(HELD));
        self.core.store.fill(key, entry, token)
    }

    /// The answer is not to be kept. What it was to replace is outdated, and goes.
    pub(crate) fn give_up(&mut self) -> Option<Answer<St::Remove>> {
        let removed = self.replaces.then(|| self.core.store.invalidate(self.key()));
        self.abandon();
        removed
    }

    /// What was granted goes back.
    pub(crate) fn abandon(&mut self) {
        if let (Some(key), Some(token)) = (&self.key, self.token.take()) {
            self.core.store.abandon(key, token);
        }
    }
}

impl<K, V, St> Drop for Claim<K, V, St>
where
    St: Store<K, V>,
{
    fn drop(&mut self) {
        self.abandon();
    }
}
