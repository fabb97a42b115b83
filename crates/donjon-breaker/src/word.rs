/// What a call must know of the circuit, in one atomic word: in which state it is, in which epoch, and what the calls of
/// a closed epoch have come to.
///
/// An epoch begins with each change of state. A call takes the epoch in which it was admitted along, and its result is
/// counted by a compare-and-swap of this word: so a late result changes nothing, not even in a race with the change.
/// After 524,288 changes the numbers begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

/// The state, as far as a call must know. The order is that of the numbers in the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Closed,
    Open,
    HalfOpen,
    ForcedOpen,
    ForcedClosed,
    Disabled,
}

/// What a window of calls holds, as the word of a closed epoch has it: 14 bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) calls: u32,
    pub(crate) failures: u32,
    pub(crate) slow: u32,
}

// ===== impl Kind =====

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::ForcedOpen => "forced-open",
            Self::ForcedClosed => "forced-closed",
            Self::Disabled => "disabled",
        }
    }
}

// ===== impl Word =====

impl Word {
    const DATA_BITS: u32 = 42;
    const EPOCH_BITS: u32 = 19;
    const DATA: u64 = (1 << Self::DATA_BITS) - 1;
    /// The epochs that there are.
    pub(crate) const EPOCHS: u32 = 1 << Self::EPOCH_BITS;

    pub(crate) const fn new(kind: Kind, epoch: u32) -> Self {
        let kind = (kind as u64) << (Self::DATA_BITS + Self::EPOCH_BITS);
        Self(kind | ((epoch % Self::EPOCHS) as u64) << Self::DATA_BITS)
    }

    #[inline]
    pub(crate) const fn kind(self) -> Kind {
        match self.0 >> (Self::DATA_BITS + Self::EPOCH_BITS) {
            0 => Kind::Closed,
            1 => Kind::Open,
            2 => Kind::HalfOpen,
            3 => Kind::ForcedOpen,
            4 => Kind::ForcedClosed,
            _ => Kind::Disabled,
        }
    }

    #[inline]
    pub(crate) const fn epoch(self) -> u32 {
        (self.0 >> Self::DATA_BITS) as u32 % Self::EPOCHS
    }

    /// Whether it is the closed epoch of this number.
    #[inline]
    pub(crate) const fn is_closed_in(self, epoch: u32) -> bool {
        self.0 >> Self::DATA_BITS == epoch as u64
    }

    /// The score, or the counts of a window.
    #[inline]
    pub(crate) const fn data(self) -> u64 {
        self.0 & Self::DATA
    }

    #[inline]
    pub(crate) const fn with_data(self, data: u64) -> Self {
        Self(self.0 & !Self::DATA | data & Self::DATA)
    }
}

// ===== impl Counts =====

impl Counts {
    const BITS: u32 = 14;
    const MASK: u64 = (1 << Self::BITS) - 1;

    pub(crate) const fn from_data(data: u64) -> Self {
        Self {
            calls: (data & Self::MASK) as u32,
            failures: (data >> Self::BITS & Self::MASK) as u32,
            slow: (data >> (2 * Self::BITS) & Self::MASK) as u32,
        }
    }

    /// What one call adds to the data, and takes away again.
    pub(crate) const fn one(failure: bool, slow: bool) -> u64 {
        1 | (failure as u64) << Self::BITS | (slow as u64) << (2 * Self::BITS)
    }
}

#[cfg(all(test, not(donjon_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out() {
        let kinds = [Kind::Closed, Kind::Open, Kind::HalfOpen, Kind::ForcedOpen, Kind::ForcedClosed, Kind::Disabled];
        for kind in kinds {
            for epoch in [0, 1, Word::EPOCHS - 1] {
                let word = Word::new(kind, epoch).with_data(u64::MAX);
                assert_eq!((word.kind(), word.epoch(), word.data()), (kind, epoch, Word::DATA));
                assert_eq!(word.is_closed_in(epoch), kind == Kind::Closed);
                assert!(!word.is_closed_in(epoch + 1) && !word.is_closed_in(epoch.wrapping_sub(1)));
            }
        }
        assert_eq!(Word::new(Kind::Open, Word::EPOCHS), Word::new(Kind::Open, 0), "epochs begin anew");
    }

    #[test]
    fn counts_are_added_and_taken_away() {
        let data = 3 * Counts::one(false, false) + 2 * Counts::one(true, false) + Counts::one(true, true);
        assert_eq!(Counts::from_data(data), Counts { calls: 6, failures: 3, slow: 1 });
        assert_eq!(Counts::from_data(data - Counts::one(true, true)), Counts { calls: 5, failures: 2, slow: 0 });
    }
}
