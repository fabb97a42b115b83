use std::fmt;

/// The most that the word can count of each: 2^24 - 1.
pub(crate) const LIMIT: u32 = (1 << 24) - 1;

/// In flight (24 bits), queued (24 bits), and the low 16 bits of how many were ever admitted, in one word.
///
/// The last makes the count of admissions free: it is written with what is written anyway. Whoever carries it past a
/// half of its range says so in a counter of halves, once in 32,768 admissions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

// ===== impl Word =====

impl Word {
    pub(crate) const IN_FLIGHT: u64 = 1;
    pub(crate) const QUEUED: u64 = 1 << 24;
    const ADMITTED: u64 = 1 << 48;
    /// What to add so that one who waits is admitted.
    pub(crate) const HAND_ON: u64 = Self::IN_FLIGHT + Self::ADMITTED - Self::QUEUED;

    pub(crate) const fn in_flight(self) -> u32 {
        self.0 as u32 & LIMIT
    }

    pub(crate) const fn queued(self) -> u32 {
        (self.0 >> 24) as u32 & LIMIT
    }

    /// Which half of its range the count of admissions is in.
    pub(crate) const fn half(self) -> bool {
        self.0 >> 63 == 1
    }

    /// One more in flight, one more admitted. The count of admissions wraps, off the end of the word.
    pub(crate) const fn admit(self) -> Self {
        Self(self.0.wrapping_add(Self::IN_FLIGHT + Self::ADMITTED))
    }

    /// One more queued.
    pub(crate) const fn enqueue(self) -> Self {
        Self(self.0 + Self::QUEUED)
    }

    /// How many were ever admitted, with this many halves of the range of the low bits passed. The two need not have
    /// been read at the same instant: of all numbers with these low bits it is the one nearest to the middle of the
    /// half, so either may be 16,384 admissions older than the other.
    pub(crate) const fn admitted(self, halves: u64) -> u64 {
        let middle = (halves << 15) + (1 << 14);
        let off = ((self.0 >> 48) as u16).wrapping_sub(middle as u16) as i16;
        middle.wrapping_add_signed(off as i64)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word").field("in_flight", &self.in_flight()).field("queued", &self.queued()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_counts_do_not_touch_each_other() {
        let mut word = Word(0);
        for _ in 0..3 {
            word = word.admit();
        }
        word = word.enqueue().enqueue();
        assert_eq!((word.in_flight(), word.queued(), word.admitted(0)), (3, 2, 3));
        word = Word(word.0.wrapping_add(Word::HAND_ON));
        assert_eq!((word.in_flight(), word.queued(), word.admitted(0)), (4, 1, 4));
        word = Word(word.0 - Word::IN_FLIGHT);
        assert_eq!((word.in_flight(), word.queued(), word.admitted(0)), (3, 1, 4));
    }

    #[test]
    fn admissions_are_counted_beyond_the_word() {
        let (mut word, mut halves) = (Word(0), 0);
        for n in 1..=200_000_u64 {
            let next = Word(word.admit().0 - Word::IN_FLIGHT);
            // A count of halves that is one late, or early, by a few thousand admissions changes nothing.
            assert_eq!(next.admitted(halves), n);
            halves += u64::from(next.half() != word.half());
            assert_eq!(next.admitted(halves), n);
            assert_eq!(word.admitted(halves), n - 1);
            assert_eq!((next.in_flight(), next.queued()), (0, 0));
            word = next;
        }
    }
}
