//! What is kept for an entry, and how the engine weighs and evicts it.

use std::{marker::PhantomData, mem, time::Duration};

use quick_cache::{Lifecycle, Weighter};

use crate::{Lifetime, generations::Marks};

/// An entry in the engine. Cloned for each hit, so all of it is cheap to clone when the value is.
#[derive(Clone)]
pub(crate) struct Slot<V> {
    pub(crate) value: V,
    pub(crate) lifetime: Lifetime,
    /// As of which removal its making began: see `Generations`.
    pub(crate) number: u64,
    /// Asked for once, before the entry came here, so that nobody else's code runs behind the engine's locks.
    pub(crate) weight: u64,
    pub(crate) marks: Marks,
    /// Microseconds, at most 71 minutes.
    pub(crate) cost: u32,
    /// The number of its fill: by it an insertion knows its own entry among the evicted.
    pub(crate) id: u32,
}

#[derive(Clone)]
pub(crate) struct SlotWeight;

/// Counts what is evicted, and hands it out, so that it is dropped when no lock is held any more.
#[derive(Clone)]
pub(crate) struct Evicting;

pub(crate) struct Evicted<K, V> {
    pub(crate) count: u64,
    /// What was inserted, and had to go itself.
    pub(crate) bounced: Option<(K, Slot<V>)>,
    /// The number of the fill that goes on.
    pub(crate) own: Option<u32>,
    evicting: bool,
    first: Option<(K, Slot<V>)>,
    more: Vec<(K, Slot<V>)>,
}

/// As large as what the engine holds for an entry: never made, only measured.
#[expect(dead_code, reason = "it stands for the engine's own layout")]
struct Measure<K, V> {
    item: Option<Item<K, V>>,
    next: u32,
    previous: u32,
}

#[expect(dead_code, reason = "it stands for the engine's own layout")]
enum Item<K, V> {
    Resident { key: K, slot: Slot<V>, hot: bool, referenced: u16 },
    Ghost(u64, PhantomData<V>),
}

/// The bytes that the engine needs for an entry at most: its slot, in a table that doubles when it is full, and twice
/// 5 bytes x 8/7 in a hash table that doubles too.
pub(crate) const fn engine_bytes<K, V>() -> u64 {
    2 * size_of::<Measure<K, V>>() as u64 + 12
}

pub(crate) fn from_micros(cost: u32) -> Duration {
    Duration::from_micros(u64::from(cost))
}

pub(crate) fn micros(cost: Duration) -> u32 {
    u32::try_from(cost.as_micros()).unwrap_or(u32::MAX)
}

// ===== impl SlotWeight =====

impl<K, V> Weighter<K, Slot<V>> for SlotWeight {
    fn weight(&self, _: &K, slot: &Slot<V>) -> u64 {
        slot.weight
    }
}

// ===== impl Evicting =====

impl<K, V> Lifecycle<K, Slot<V>> for Evicting {
    type RequestState = Evicted<K, V>;

    fn before_evict(&self, evicted: &mut Evicted<K, V>, _: &K, _: &mut Slot<V>) {
        // Not called for a value that another one replaces: that one only comes to `on_evict`.
        evicted.evicting = true;
    }

    fn on_evict(&self, evicted: &mut Evicted<K, V>, key: K, slot: Slot<V>) {
        let evicting = mem::take(&mut evicted.evicting);
        if evicting && evicted.own == Some(slot.id) {
            evicted.bounced = Some((key, slot));
            return;
        }
        evicted.count += u64::from(evicting);
        if evicted.first.is_none() {
            evicted.first = Some((key, slot));
        } else {
            evicted.more.push((key, slot));
        }
    }
}

// ===== impl Evicted =====

impl<K, V> Default for Evicted<K, V> {
    fn default() -> Self {
        Self { count: 0, bounced: None, own: None, evicting: false, first: None, more: Vec::new() }
    }
}
