use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use donjon_core::{state_changed, state_worsened};

use crate::LAYER;

/// So many keys in a row must have found room before there is said to be room again.
///
/// With one, a table that is full of keys in use would say so anew for each of them that leaves.
const IN_A_ROW: usize = 64;

/// What an operator was told of the room for keys.
#[derive(Default)]
pub(crate) struct Room {
    /// How many keys in a row must still find room. 0 while there is room.
    wanted: AtomicUsize,
}

// ===== impl Room =====

impl Room {
    /// A call with another key found no room, where there is room for so many.
    pub(crate) fn was_missing(&self, max: usize) {
        if self.wanted.swap(max.clamp(1, IN_A_ROW), Relaxed) == 0 {
            state_worsened(LAYER, "keys", "full");
        }
    }

    /// Another key found room.
    pub(crate) fn was_found(&self) {
        if self.wanted.load(Relaxed) > 0
            && self.wanted.fetch_update(Relaxed, Relaxed, |wanted| wanted.checked_sub(1)) == Ok(1)
        {
            state_changed(LAYER, "keys", "not full");
        }
    }
}
