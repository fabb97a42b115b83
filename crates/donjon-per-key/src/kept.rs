use std::{
    array,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use donjon_core::{Fresh, RejectionKind};

/// A layer that calls go through, and where it counts what it refuses.
pub(crate) struct Kept<L> {
    pub(crate) layer: L,
    refusals: Arc<Refusals>,
}

/// How many calls were refused, over all keys. It is the refusals that are counted here, so that a call that is not
/// refused shares nothing with those of other keys.
#[derive(Default)]
pub(crate) struct Refusals {
    by_kind: [AtomicU64; PLACES],
}

/// The kinds that are counted apart.
pub(crate) const KINDS: [RejectionKind; 10] = [
    RejectionKind::Overloaded,
    RejectionKind::RateLimited,
    RejectionKind::CircuitOpen,
    RejectionKind::DeadlineExceeded,
    RejectionKind::AttemptTimeout,
    RejectionKind::NoEndpoint,
    RejectionKind::NoKey,
    RejectionKind::BodyTooLarge,
    RejectionKind::BodyIncomplete,
    RejectionKind::Shared,
];

/// All other kinds, which are yet to come, have the last place.
pub(crate) const PLACES: usize = KINDS.len() + 1;

pub(crate) fn place(kind: RejectionKind) -> usize {
    KINDS.iter().position(|it| *it == kind).unwrap_or(KINDS.len())
}

// ===== impl Kept =====

impl<L> Kept<L> {
    pub(crate) fn new(layer: L) -> Self {
        Self { layer, refusals: Arc::default() }
    }

    pub(crate) fn refusals(&self) -> &Refusals {
        &self.refusals
    }
}

/// Fresh ones count in the same place.
impl<L: Fresh> Fresh for Kept<L> {
    fn fresh(&self) -> Self {
        Self { layer: self.layer.fresh(), refusals: Arc::clone(&self.refusals) }
    }

    fn bypass(&self) -> Self {
        Self { layer: self.layer.bypass(), refusals: Arc::clone(&self.refusals) }
    }

    fn is_held(&self) -> bool {
        self.layer.is_held()
    }

    fn memory(&self) -> Duration {
        self.layer.memory()
    }
}

// ===== impl Refusals =====

impl Refusals {
    pub(crate) fn count(&self, kind: RejectionKind) {
        self.by_kind[place(kind)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> [u64; PLACES] {
        array::from_fn(|place| self.by_kind[place].load(Ordering::Relaxed))
    }
}
