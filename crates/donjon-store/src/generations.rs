//! Removal by tag without looking at any entry, and fills that a removal has overtaken.
//!
//! One counter numbers the removals. An entry carries the number that was current when its making began; a removal
//! takes the next number and writes it at the place of its tag. An entry is dead when one of its places holds a
//! higher number than its own. Places are found by hash, so their number is bounded, and two tags may share one.

use std::sync::{Arc, OnceLock};

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// How many places there are for the keys that were removed, and how many locks order removals and fills of a key.
const KEY_PLACES: usize = if cfg!(donjon_loom) { 1 } else { 8192 };
const STRIPES: usize = if cfg!(donjon_loom) { 1 } else { 64 };

pub(crate) struct Generations {
    /// The number of the last removal.
    last: AtomicU64,
    /// The number of the last removal of everything.
    all: AtomicU64,
    /// The last removal at each place: made when something is first removed by a tag, or by its key.
    tags: OnceLock<Box<[AtomicU64]>>,
    keys: OnceLock<Box<[AtomicU64]>>,
    tag_places: u16,
    /// Each counts the fills behind it.
    stripes: Box<[Mutex<u32>]>,
}

/// The places of an entry's tags. Place 0 is nobody's.
#[derive(Clone)]
pub(crate) enum Marks {
    Few([u16; 4]),
    Many(Arc<[u16]>),
}

impl Generations {
    /// With so many places for tags, at least one.
    pub(crate) fn new(tag_places: u16) -> Self {
        let generations = Self {
            last: AtomicU64::new(0),
            all: AtomicU64::new(0),
            tags: OnceLock::new(),
            keys: OnceLock::new(),
            tag_places: tag_places.max(1),
            stripes: (0..STRIPES).map(|_| Mutex::new(0)).collect(),
        };
        if cfg!(donjon_loom) {
            // loom does not see that a `OnceLock` orders its making and its use.
            generations.tags();
            generations.keys();
        }
        generations
    }

    /// The number of the last removal: what is made from now on is newer than that.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// The place of the tag with this hash: 1 to `tag_places`.
    pub(crate) fn place(&self, hash: u64) -> u16 {
        // Below `tag_places`, so it fits; place 0 is left free.
        (hash % u64::from(self.tag_places)) as u16 + 1
    }

    /// Whether something that was begun at `number` and has these tags has been removed since.
    #[inline]
    pub(crate) fn is_dead(&self, number: u64, marks: &Marks) -> bool {
        self.all.load(Ordering::Acquire) > number || self.is_tag_dead(number, marks)
    }

    #[inline]
    fn is_tag_dead(&self, number: u64, marks: &Marks) -> bool {
        if marks.is_empty() {
            return false;
        }
        let Some(tags) = self.tags.get() else { return false };
        marks.places().iter().any(|place| tags[usize::from(*place)].load(Ordering::Acquire) > number)
    }

    /// Whether this key (by its hash) has been removed since `number`. Only under the key's lock.
    pub(crate) fn is_key_dead(&self, number: u64, hash: u64) -> bool {
        self.keys.get().is_some_and(|keys| keys[key_place(hash)].load(Ordering::Acquire) > number)
    }

    /// Orders the fills and the removals of a key (by its hash).
    pub(crate) fn lock_key(&self, hash: u64) -> MutexGuard<'_, u32> {
        // What a panic may have left undone behind this lock is the work of one call: nothing here is half-written.
        self.stripes[stripe(hash)].lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// A number for a fill of the key with this hash, that no other entry has unless it is 67 million fills old.
    pub(crate) fn next_fill(&self, ordered: &mut u32, hash: u64) -> u32 {
        *ordered = ordered.wrapping_add(1);
        // The stripe is below STRIPES.
        ordered.wrapping_mul(STRIPES as u32).wrapping_add(stripe(hash) as u32)
    }

    /// The key (by its hash) is removed now. Only under the key's lock.
    pub(crate) fn remove_key(&self, hash: u64) {
        self.raise(&self.keys()[key_place(hash)]);
    }

    /// The tag at this place is removed now.
    pub(crate) fn remove_tag(&self, place: u16) {
        self.raise(&self.tags()[usize::from(place)]);
    }

    /// Everything is removed now.
    pub(crate) fn remove_all(&self) {
        self.raise(&self.all);
    }

    fn keys(&self) -> &[AtomicU64] {
        self.keys.get_or_init(|| places(KEY_PLACES))
    }

    fn tags(&self) -> &[AtomicU64] {
        self.tags.get_or_init(|| places(usize::from(self.tag_places) + 1))
    }

    fn raise(&self, place: &AtomicU64) {
        let number = self.last.fetch_add(1, Ordering::AcqRel) + 1;
        // Another removal at this place may have overtaken: a place never goes back.
        place.fetch_max(number, Ordering::AcqRel);
    }
}

impl Marks {
    pub(crate) fn new(places: impl ExactSizeIterator<Item = u16>) -> Self {
        if places.len() <= 4 {
            let mut few = [0; 4];
            for (mark, place) in few.iter_mut().zip(places) {
                *mark = place;
            }
            Self::Few(few)
        } else {
            Self::Many(places.collect())
        }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        matches!(self, Self::Few([0, ..]))
    }

    #[inline]
    fn places(&self) -> &[u16] {
        match self {
            Self::Few(few) => few,
            Self::Many(many) => many,
        }
    }
}

fn places(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

fn stripe(hash: u64) -> usize {
    key_place(hash) % STRIPES
}

fn key_place(hash: u64) -> usize {
    // The remainder is below KEY_PLACES.
    (hash % KEY_PLACES as u64) as usize
}
