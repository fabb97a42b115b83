//! A bucket that many threads take from: one word, one compare-and-swap for each call, and terms that can change.

use crate::{
    Rate,
    gcra::{SPAN, Terms},
    sync::{AtomicU64, Mutex, Ordering, lock},
};

/// When the bucket is full again, and the number of the terms in whose units that is.
///
/// The number keeps a call that has read the old terms from charging by them under the new ones: its
/// compare-and-swap fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u64);

/// The low bits of a word are the number of its terms. 64 numbers: for a call to mistake one for the other, the terms
/// would have to change 64 times between its load and its swap, and end on the same time to the unit.
const NUMBER_BITS: u32 = 6;

/// Somebody is changing the terms.
const CLOSED: u64 = u64::MAX;

/// The state of a bucket. Times that go in are nanoseconds since an instant that the owner chooses.
///
/// `word` says in which terms it is, and the terms are several words beside it, which change rarely. Three rules:
///
/// 1. The terms are written under the lock alone, while the word is closed.
/// 2. Whoever has read the word, then the terms, and finds the word unchanged (a compare-and-swap that succeeds, or a
///    second look) has read the terms of that word: each store of a term comes after the closing of the word, and
///    whoever has seen the store sees the closing too.
/// 3. Whoever finds the word closed takes the lock, and so waits for the few lines that change the terms.
#[repr(C)]
pub(crate) struct Cell {
    word: AtomicU64,
    /// The time of the owner's at which the units are 0.
    base: AtomicU64,
    per_nano: AtomicU64,
    step: AtomicU64,
    burst: AtomicU64,
    /// How often the terms have changed, in full: what lasts longer than one step tells terms apart by it.
    changes: AtomicU64,
    change: Mutex<Current>,
}

/// What the terms were made from, and what has to outlast them.
#[derive(Debug)]
pub(crate) struct Current {
    rate: Rate,
    /// Up to when turns were promised by terms that are over, in the owner's time. The word has it too, as long as
    /// time passes in its terms; but what the word owes beyond an empty bucket may be less, after the burst has risen.
    promised_until: u64,
}

/// What was read at one time: it holds as long as the word does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) word: Word,
    pub(crate) terms: Terms,
    pub(crate) now: u64,
    base: u64,
}

// ===== impl Word =====

impl Word {
    fn new(full_at: u64, number: u64) -> Self {
        Self(full_at << NUMBER_BITS | number)
    }

    #[inline]
    pub(crate) fn full_at(self) -> u64 {
        self.0 >> NUMBER_BITS
    }

    #[inline]
    pub(crate) fn number(self) -> u64 {
        self.0 & ((1 << NUMBER_BITS) - 1)
    }

    #[inline]
    fn with(self, full_at: u64) -> Self {
        Self::new(full_at, self.number())
    }
}

// ===== impl View =====

impl View {
    /// The owner's time of a time in units, rounded up.
    pub(crate) fn nanos_of(&self, at: u64) -> u64 {
        self.base.saturating_add(self.terms.nanos(at))
    }
}

// ===== impl Cell =====

impl Cell {
    /// A full bucket.
    pub(crate) fn new(rate: Rate) -> Self {
        let terms = Terms::new(rate);
        Self {
            word: AtomicU64::new(0),
            base: AtomicU64::new(0),
            per_nano: AtomicU64::new(terms.per_nano),
            step: AtomicU64::new(terms.step),
            burst: AtomicU64::new(terms.burst),
            changes: AtomicU64::new(0),
            change: Mutex::new(Current { rate, promised_until: 0 }),
        }
    }

    pub(crate) fn rate(&self) -> Rate {
        lock(&self.change).rate
    }

    /// What there is, at `nanos`.
    #[inline]
    pub(crate) fn read(&self, nanos: u64) -> View {
        loop {
            let word = self.word.load(Ordering::Acquire);
            if word == CLOSED {
                drop(lock(&self.change));
                continue;
            }
            // Acquire: see the second rule.
            let base = self.base.load(Ordering::Acquire);
            let terms = Terms {
                per_nano: self.per_nano.load(Ordering::Acquire),
                step: self.step.load(Ordering::Acquire),
                burst: self.burst.load(Ordering::Acquire),
            };
            let now = terms.units(nanos.saturating_sub(base));
            let view = View { word: Word(word), terms, now, base };
            if now <= SPAN {
                return view;
            }
            // Too far from the base, or torn.
            if self.holds(&view) {
                self.change(nanos, None);
            }
        }
    }

    /// How often the terms have changed. Read after a view, it is that of the view's terms, if the view still holds
    /// afterwards.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether this view still holds.
    #[inline]
    pub(crate) fn holds(&self, view: &View) -> bool {
        self.word.load(Ordering::Acquire) == view.word.0
    }

    /// The bucket is full again at `full_at` from now on, if the view still holds.
    #[inline]
    pub(crate) fn replace(&self, view: &View, full_at: u64) -> bool {
        let next = view.word.with(full_at);
        // Weak: whoever asks again reads everything again.
        self.word.compare_exchange_weak(view.word.0, next.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// New terms from `nanos` on; or the same ones on a new base.
    pub(crate) fn change(&self, nanos: u64, rate: Option<Rate>) {
        let mut current = lock(&self.change);
        let old = self.terms();
        let base = self.base.load(Ordering::Relaxed);
        if rate.is_none() && old.units(nanos.saturating_sub(base)) <= SPAN {
            return; // Somebody else has done it.
        }
        // Time never goes back to before the last base.
        let at = nanos.max(base);
        let word = Word(self.word.swap(CLOSED, Ordering::AcqRel));
        let owed = word.full_at().saturating_sub(old.units(at - base));
        let (new, owed) = match rate {
            None => (old, owed),
            Some(rate) => {
                let (missing, promised) = old.split(owed, current.promised_until.saturating_sub(at));
                *current = Current { rate, promised_until: at.saturating_add(promised) };
                old.carry(missing, promised, rate)
            }
        };
        self.base.store(at, Ordering::Release);
        self.per_nano.store(new.per_nano, Ordering::Release);
        self.step.store(new.step, Ordering::Release);
        self.burst.store(new.burst, Ordering::Release);
        let changes = self.changes.load(Ordering::Relaxed) + 1;
        self.changes.store(changes, Ordering::Release);
        self.word.store(Word::new(owed, changes & ((1 << NUMBER_BITS) - 1)).0, Ordering::Release);
    }

    fn terms(&self) -> Terms {
        Terms {
            per_nano: self.per_nano.load(Ordering::Acquire),
            step: self.step.load(Ordering::Acquire),
            burst: self.burst.load(Ordering::Acquire),
        }
    }
}
