use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use donjon_core::Fresh;
use tower_layer::Layer;

use crate::{Handle, PerKey, Unkeyed, kept::Kept, keys::Keys, room::Room};

/// How many keys are kept, unless said.
const MAX_KEYS: usize = 10_000;
/// After how long an idle key leaves, unless said.
const IDLE: Duration = Duration::from_secs(600);

/// One layer for each key: a host, a tenant, a user.
///
/// Clones share the keys and their states, and so do all services that they make. See the [crate](crate) for what it
/// does. `X` extracts the key, `L` is the layer that is multiplied, and `K` is the key: the compiler finds it as soon as
/// the layer is used.
#[must_use]
pub struct PerKeyLayer<X, L, K> {
    shared: Arc<Shared<L, K>>,
    key: X,
    settings: Settings,
}

/// What belongs to a layer value and the services it makes, and is not shared with its clones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) without_key: Unkeyed,
    pub(crate) when_full: Unkeyed,
    pub(crate) bypass: bool,
}

pub(crate) struct Shared<L, K> {
    pub(crate) keys: Keys<K, Kept<L>>,
    pub(crate) room: Room,
    /// What new keys get a fresh one of.
    pub(crate) template: Kept<L>,
    /// Lets everything through.
    pub(crate) bypass: L,
    /// Of all calls without a key, if they share one.
    pub(crate) keyless: Arc<Kept<L>>,
    /// Of all calls for whose key there was no room, if they share one.
    pub(crate) overflow: Arc<Kept<L>>,
    pub(crate) without_key: AtomicU64,
    pub(crate) when_full: AtomicU64,
}

// ===== impl PerKeyLayer =====

impl<X, L: Fresh, K> PerKeyLayer<X, L, K> {
    /// Calls go through a [fresh](Fresh::fresh) `layer` for each key, of which this one is the pattern: at most 10,000
    /// keys, each of which leaves when it has been idle for ten minutes, or for as long as the layer
    /// [remembers](Fresh::memory), if that is longer.
    ///
    /// The state of `layer` itself is not used; what its handle changes holds for the keys that come afterwards, where
    /// `fresh` takes over the settings of the moment, as donjon's own layers do. It is reached through
    /// [`Handle::with_template`] too.
    ///
    /// Several layers in a tuple are one, the first being the outermost. Any closure `Fn(&Req) -> Option<K>` is a `key`.
    pub fn new(key: X, layer: L) -> Self {
        let idle = IDLE.max(layer.memory());
        Self {
            shared: Arc::new(Shared::new(Keys::new(MAX_KEYS, idle), layer)),
            key,
            settings: Settings { without_key: Unkeyed::Bypass, when_full: Unkeyed::Refuse, bypass: false },
        }
    }

    /// At most this many keys have a state at the same time: 10,000 unless said. 0 keeps none, so that each call with a
    /// key is one for which there is [no room](Self::when_full); more than 4,294,967,294 is taken for that many.
    ///
    /// Part of the shared state: it holds for every clone of this layer.
    pub fn max_keys(self, max: usize) -> Self {
        self.shared.keys.set_max(max);
        self
    }

    /// A key leaves when it has not been used for this long: ten minutes, or as long as the layer
    /// [remembers](Fresh::memory), unless said. 0 keeps a key no longer than it
    /// is in use; [`Duration::MAX`] keeps it until its room is needed.
    ///
    /// Longer than the layer's own memory (for a rate limit: burst by rate), or it forgets what it should remember; also
    /// where a rate is lowered while running. No task looks for idle keys. They leave when a new key comes, at every so many calls, or when the
    /// [handle](Self::handle) is looked at, so it may take longer where little happens.
    ///
    /// Part of the shared state.
    pub fn idle(self, idle: Duration) -> Self {
        self.shared.keys.set_idle(idle);
        self
    }

    /// What becomes of a call without a key: it goes past the layer ([`Unkeyed::Bypass`]), unless said.
    pub fn without_key(mut self, unkeyed: Unkeyed) -> Self {
        self.settings.without_key = unkeyed;
        self
    }

    /// What becomes of a call for whose key there is no room, since all the others are in use: it is refused
    /// ([`Unkeyed::Refuse`]), unless said.
    ///
    /// Of each shard, the 64 keys are looked at whose use was longest ago; those in use are passed over, so that the next
    /// call looks at others. Up to 64 keys that is all of them.
    pub fn when_full(mut self, unkeyed: Unkeyed) -> Self {
        self.settings.when_full = unkeyed;
        self
    }

    /// The operator's end of this layer.
    #[must_use]
    pub fn handle(&self) -> Handle<K, L> {
        Handle::new(Arc::clone(&self.shared))
    }
}

impl<S, X: Clone, L: Layer<S>, K> Layer<S> for PerKeyLayer<X, L, K> {
    type Service = PerKey<S, X, L, K>;

    fn layer(&self, inner: S) -> Self::Service {
        PerKey::new(inner, self.key.clone(), Arc::clone(&self.shared), self.settings)
    }
}

impl<X: Clone, L: Fresh, K> Fresh for PerKeyLayer<X, L, K> {
    /// No keys, with the bounds that this one has now.
    fn fresh(&self) -> Self {
        let shared = Shared::new(self.shared.keys.fresh(), self.shared.template.layer.fresh());
        Self { shared: Arc::new(shared), key: self.key.clone(), settings: self.settings }
    }

    fn bypass(&self) -> Self {
        let mut this = self.fresh();
        this.settings.bypass = true;
        this
    }

    /// Whether any key is in use, or a handle, a service or a clone of this layer is there.
    fn is_held(&self) -> bool {
        let shared = &self.shared;
        Arc::strong_count(shared) > 1 || shared.keyless.is_held() || shared.overflow.is_held() || shared.keys.is_busy()
    }

    /// That of the layer of each key.
    fn memory(&self) -> Duration {
        self.shared.template.memory()
    }
}

impl<X: Clone, L, K> Clone for PerKeyLayer<X, L, K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), key: self.key.clone(), settings: self.settings }
    }
}

impl<X, L: fmt::Debug, K> fmt::Debug for PerKeyLayer<X, L, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKeyLayer")
            .field("layer", &self.shared.template.layer)
            .field("max_keys", &self.shared.keys.max())
            .field("idle", &self.shared.keys.idle())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

// ===== impl Shared =====

impl<L: Fresh, K> Shared<L, K> {
    fn new(keys: Keys<K, Kept<L>>, layer: L) -> Self {
        let template = Kept::new(layer);
        Self {
            keys,
            room: Room::default(),
            bypass: template.layer.bypass(),
            keyless: Arc::new(template.fresh()),
            overflow: Arc::new(template.fresh()),
            template,
            without_key: AtomicU64::new(0),
            when_full: AtomicU64::new(0),
        }
    }
}
