//! A map that knows in which order its entries were used. It reads no clock, and decides nothing.

use hashbrown::HashTable;
use tokio::time::Instant;

/// No entry.
const NONE: u32 = u32::MAX;

/// Entries found by hash and key, in the order of their last use.
///
/// An entry that was used has no instant, until somebody who knows the time calls [`stamp`](Self::stamp). So the newest
/// entries are those without, and the instants of the others never grow towards the oldest.
pub(crate) struct Lru<K, V> {
    places: HashTable<u32>,
    slots: Vec<Slot<K, V>>,
    /// The first vacant slot.
    vacant: u32,
    oldest: u32,
    newest: u32,
}

enum Slot<K, V> {
    Vacant { next: u32 },
    Taken(Node<K, V>),
}

pub(crate) struct Node<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
    hash: u64,
    /// At or after the last use; `None` is not known yet.
    used: Option<Instant>,
    older: u32,
    newer: u32,
}

// ===== impl Lru =====

impl<K, V> Lru<K, V> {
    pub(crate) const fn new() -> Self {
        Self { places: HashTable::new(), slots: Vec::new(), vacant: NONE, oldest: NONE, newest: NONE }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Where the entry is. The comparison is the only foreign code in here, and runs before anything changes.
    pub(crate) fn find(&self, hash: u64, is: impl Fn(&K) -> bool) -> Option<u32> {
        self.places.find(hash, |&at| self.node(at).hash == hash && is(&self.node(at).key)).copied()
    }

    pub(crate) fn node(&self, at: u32) -> &Node<K, V> {
        match &self.slots[at as usize] {
            Slot::Taken(node) => node,
            Slot::Vacant { .. } => unreachable!("a place leads to an entry"),
        }
    }

    pub(crate) fn node_mut(&mut self, at: u32) -> &mut Node<K, V> {
        match &mut self.slots[at as usize] {
            Slot::Taken(node) => node,
            Slot::Vacant { .. } => unreachable!("a place leads to an entry"),
        }
    }

    /// The entry is used: it is the newest.
    pub(crate) fn touch(&mut self, at: u32) {
        self.node_mut(at).used = None;
        if self.newest != at {
            self.unlink(at);
            self.link(at);
        }
    }

    /// A new entry, the newest. The caller has made sure that the key is not there.
    pub(crate) fn insert(&mut self, hash: u64, key: K, value: V) -> u32 {
        let node = Slot::Taken(Node { key, value, hash, used: None, older: NONE, newer: NONE });
        let at = self.vacant;
        let at = match self.slots.get_mut(at as usize) {
            Some(slot) => {
                if let Slot::Vacant { next } = slot {
                    self.vacant = *next;
                }
                *slot = node;
                at
            }
            None => {
                self.slots.push(node);
                u32::try_from(self.slots.len() - 1).expect("the number of entries is bounded")
            }
        };
        self.link(at);
        let slots = &self.slots;
        self.places.insert_unique(hash, at, |&at| match &slots[at as usize] {
            Slot::Taken(node) => node.hash,
            Slot::Vacant { .. } => unreachable!("a place leads to an entry"),
        });
        at
    }

    pub(crate) fn remove(&mut self, at: u32) -> Node<K, V> {
        let hash = self.node(at).hash;
        if let Ok(place) = self.places.find_entry(hash, |&other| other == at) {
            place.remove();
        }
        self.unlink(at);
        let slot = std::mem::replace(&mut self.slots[at as usize], Slot::Vacant { next: self.vacant });
        self.vacant = at;
        match slot {
            Slot::Taken(node) => node,
            Slot::Vacant { .. } => unreachable!("a place leads to an entry"),
        }
    }

    /// The entry whose last use is longest ago, and the instant of it, if it is known.
    pub(crate) fn oldest(&self) -> Option<(u32, Option<Instant>)> {
        (self.oldest != NONE).then(|| (self.oldest, self.node(self.oldest).used))
    }

    /// Whatever was used since the last time is noted as used now. It costs as much as there was used.
    pub(crate) fn stamp(&mut self, now: Instant) {
        let mut at = self.newest;
        while at != NONE {
            let node = self.node_mut(at);
            if node.used.is_some() {
                break;
            }
            node.used = Some(now);
            at = node.older;
        }
    }

    /// In no order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Node<K, V>> {
        self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Taken(node) => Some(node),
            Slot::Vacant { .. } => None,
        })
    }

    fn link(&mut self, at: u32) {
        let newest = self.newest;
        let node = self.node_mut(at);
        (node.older, node.newer) = (newest, NONE);
        match newest {
            NONE => self.oldest = at,
            newest => self.node_mut(newest).newer = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let node = self.node(at);
        let (older, newer) = (node.older, node.newer);
        match older {
            NONE => self.oldest = newer,
            older => self.node_mut(older).newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.node_mut(newer).older = older,
        }
    }
}
