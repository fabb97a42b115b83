//! Who waits, and the turns of those who have left while others waited behind them.

/// A span of a bucket's time that belongs to one call: the bucket is full again at its end, and was at its start before
/// the call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// The count of those who wait, and the places that are free before the end. All times are in units of one set of terms,
/// the ones after so many `changes`.
///
/// A place may be used as long as the time has not come to its start: until then the bucket, as it is without the call
/// that has left, is not yet full, and one who takes `units` from the start of the place moves the time at which it is
/// full by just so much. What lies before now has run over, and is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) waiting: usize,
    changes: u64,
    /// In order, apart from each other.
    free: Vec<Place>,
}

// ===== impl Ledger =====

impl Ledger {
    /// Forgets what is over, and whatever was in other terms.
    pub(crate) fn advance(&mut self, changes: u64, now: u64) {
        if changes != self.changes {
            self.free.clear();
            self.changes = changes;
        }
        for place in &mut self.free {
            place.start = place.start.max(now);
        }
        self.free.retain(|place| place.start < place.end);
    }

    /// How many places are free.
    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    /// The first free place of so many units, cut to them.
    pub(crate) fn first(&self, units: u64) -> Option<Place> {
        let place = self.free.iter().find(|place| place.end - place.start >= units)?;
        Some(Place { start: place.start, end: place.start + units })
    }

    /// Takes the place that [`first`](Self::first) has found.
    pub(crate) fn take(&mut self, taken: Place) {
        for place in &mut self.free {
            if place.start == taken.start {
                place.start = taken.end;
            }
        }
        self.free.retain(|place| place.start < place.end);
    }

    /// Somebody has left this place, and others wait behind it. Beyond `bound` places it is lost.
    pub(crate) fn put(&mut self, place: Place, bound: usize) {
        if self.free.len() >= bound {
            return;
        }
        let at = self.free.partition_point(|it| it.start < place.start);
        self.free.insert(at, place);
        self.free.dedup_by(|next, before| {
            let touch = before.end >= next.start;
            if touch {
                before.end = before.end.max(next.end);
            }
            touch
        });
    }

    /// The last one has left: where the bucket's time ends, with the free places before it gone too.
    pub(crate) fn end_before(&mut self, mut end: u64) -> u64 {
        while let Some(place) = self.free.pop_if(|place| place.end == end) {
            end = place.start;
        }
        end
    }
}
