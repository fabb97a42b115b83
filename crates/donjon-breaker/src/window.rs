//! Sliding windows: constant time and space, without a lock. What an epoch has left behind is not cleared but passed
//! over, so that a late result never finds its way into another epoch.

use std::{
    sync::atomic::Ordering::{AcqRel, Acquire, Relaxed},
    time::Duration,
};

use crate::{
    sync::AtomicU64,
    word::{Counts, Word},
};

/// One call that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) failure: bool,
    pub(crate) slow: bool,
    pub(crate) took: Duration,
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
    pub(crate) took: Duration,
}

/// The last calls of an epoch, a slot each. How many they are and how many failed is in the circuit's word.
#[derive(Debug)]
pub(crate) struct CallWindow {
    /// Epoch, that it is taken, failure, slow, and microseconds; of an older epoch, it is empty.
    slots: Box<[AtomicU64]>,
    next: AtomicU64,
}

/// The calls of the last ten steps of time.
#[derive(Debug)]
pub(crate) struct TimeWindow {
    step: Duration,
    buckets: [Bucket; TimeWindow::BUCKETS as usize],
}

/// Sums of one step. Each has the number of its step in its upper half: it is of another step, it is empty.
#[derive(Debug)]
struct Bucket {
    calls: AtomicU64,
    failures: AtomicU64,
    slow: AtomicU64,
    took: AtomicU64,
}

// ===== impl Sample =====

impl Sample {
    /// A call that took so long, and is slow if that is more than this.
    pub(crate) fn new(failure: bool, took: Option<Duration>, slow: Option<Duration>) -> Self {
        let took = took.unwrap_or_default();
        Self { failure, slow: slow.is_some_and(|limit| took > limit), took }
    }
}

// ===== impl CallWindow =====

impl CallWindow {
    const TAKEN: u64 = 1 << 42;
    const FAILURE: u64 = 1 << 43;
    const SLOW: u64 = 1 << 44;
    const EPOCH_AT: u32 = 45;
    const MICROS: u64 = (1 << 42) - 1;

    pub(crate) fn new(calls: u32) -> Self {
        Self { slots: (0..calls).map(|_| AtomicU64::new(0)).collect(), next: AtomicU64::new(0) }
    }

    /// Puts a call in, in place of the oldest one. Gives the counts then; `None` if it is late.
    ///
    /// A call is added to the counts before it takes its slot, and taken from them after it has left it: they may be too
    /// high by what is on its way, and never too low.
    pub(crate) fn record(&self, word: &AtomicU64, epoch: u32, sample: Sample) -> Option<Counts> {
        if self.slots.is_empty() {
            return Word(word.load(Relaxed)).is_closed_in(epoch).then(Counts::default);
        }
        let added = change(word, epoch, |data| data.wrapping_add(Counts::one(sample.failure, sample.slow)))?;
        match self.put(word, epoch, Self::encode(epoch, sample)) {
            Put::Late => None,
            Put::Free => Some(Counts::from_data(added)),
            Put::Displaced(old) => {
                let one = Counts::one(old & Self::FAILURE != 0, old & Self::SLOW != 0);
                change(word, epoch, |data| data.wrapping_sub(one)).map(Counts::from_data)
            }
        }
    }

    /// How long the calls took, all together.
    pub(crate) fn took(&self, epoch: u32) -> Duration {
        let of_epoch = |slot: &AtomicU64| Some(slot.load(Relaxed)).filter(|&slot| Self::is_of(slot, epoch));
        Duration::from_micros(self.slots.iter().filter_map(of_epoch).map(|slot| slot & Self::MICROS).sum())
    }

    fn put(&self, word: &AtomicU64, epoch: u32, value: u64) -> Put {
        let turn = self.next.fetch_add(1, Relaxed) % self.slots.len() as u64;
        let slot = &self.slots[turn as usize];
        // Acquire and release: whoever sees the slot of a later epoch sees the word of it too.
        let mut old = slot.load(Acquire);
        loop {
            let own = Self::is_of(old, epoch);
            // A slot of a later epoch is not to be touched. It can be later only if the circuit is.
            if !own && !Word(word.load(Relaxed)).is_closed_in(epoch) {
                return Put::Late;
            }
            match slot.compare_exchange_weak(old, value, AcqRel, Acquire) {
                Ok(_) if own => return Put::Displaced(old),
                Ok(_) => return Put::Free,
                Err(changed) => old = changed,
            }
        }
    }

    fn encode(epoch: u32, sample: Sample) -> u64 {
        let micros = u64::try_from(sample.took.as_micros()).unwrap_or(u64::MAX).min(Self::MICROS);
        let flag = |is: bool, bit: u64| if is { bit } else { 0 };
        u64::from(epoch) << Self::EPOCH_AT
            | Self::TAKEN
            | flag(sample.failure, Self::FAILURE)
            | flag(sample.slow, Self::SLOW)
            | micros
    }

    fn is_of(slot: u64, epoch: u32) -> bool {
        slot & Self::TAKEN != 0 && slot >> Self::EPOCH_AT == u64::from(epoch)
    }
}

enum Put {
    Late,
    Free,
    Displaced(u64),
}

/// Changes the data of the word while it is of this closed epoch. Gives what it is then, or `None`.
pub(crate) fn change(word: &AtomicU64, epoch: u32, step: impl Fn(u64) -> u64) -> Option<u64> {
    let mut now = Word(word.load(Relaxed));
    while now.is_closed_in(epoch) {
        let next = now.with_data(step(now.data()));
        match word.compare_exchange_weak(now.0, next.0, Relaxed, Relaxed) {
            Ok(_) => return Some(next.data()),
            Err(changed) => now = Word(changed),
        }
    }
    None
}

// ===== impl TimeWindow =====

impl TimeWindow {
    const BUCKETS: u32 = 10;
    /// The steps of an epoch are so far from those of the one before that no bucket is taken for one of the other.
    const EPOCH_STEPS: u32 = 64;
    /// A bucket that is ahead by less than this is of a later epoch, one of the next sixteen; by more, it is old, and the
    /// numbers have begun anew since.
    const AHEAD: u32 = 16 * Self::EPOCH_STEPS;
    /// In which parts of a millisecond times are added up.
    const PARTS: u128 = 10;

    pub(crate) fn new(time: Duration) -> Self {
        let step = time / Self::BUCKETS;
        Self { step, buckets: std::array::from_fn(|_| Bucket::new()) }
    }

    /// Adds a call that ended this long after the beginning of time, and gives what the window holds then.
    pub(crate) fn record(&self, epoch: u32, elapsed: Duration, sample: Sample) -> Sums {
        let Some(step) = self.step(epoch, elapsed) else {
            return Sums::default();
        };
        let bucket = self.bucket(step);
        add(&bucket.calls, step, 1);
        if sample.failure {
            add(&bucket.failures, step, 1);
        }
        if sample.slow {
            add(&bucket.slow, step, 1);
        }
        let parts = sample.took.as_nanos() * Self::PARTS / 1_000_000;
        if parts > 0 {
            add(&bucket.took, step, u32::try_from(parts).unwrap_or(u32::MAX));
        }
        self.sum(step)
    }

    /// What it holds.
    pub(crate) fn sums(&self, epoch: u32, elapsed: Duration) -> Sums {
        self.step(epoch, elapsed).map_or_else(Sums::default, |step| self.sum(step))
    }

    fn sum(&self, step: u32) -> Sums {
        let read = |cell: &AtomicU64| {
            let (of, count) = split(cell.load(Relaxed));
            if step.wrapping_sub(of) < Self::BUCKETS { u64::from(count) } else { 0 }
        };
        let mut sums = Sums::default();
        let mut parts = 0;
        for bucket in &self.buckets {
            sums.calls += read(&bucket.calls);
            sums.failures += read(&bucket.failures);
            sums.slow += read(&bucket.slow);
            parts += read(&bucket.took);
        }
        sums.took = Duration::from_micros(parts * 1000 / Self::PARTS as u64);
        sums
    }

    /// The number of the step; `None` if the window holds nothing.
    fn step(&self, epoch: u32, elapsed: Duration) -> Option<u32> {
        // The numbers begin anew after 2^32, which is intended.
        let steps = elapsed.as_nanos().checked_div(self.step.as_nanos())? as u32;
        // 0 is what an untouched bucket says.
        Some(steps.wrapping_add(epoch.wrapping_mul(Self::EPOCH_STEPS)).wrapping_add(Self::EPOCH_STEPS))
    }

    fn bucket(&self, step: u32) -> &Bucket {
        &self.buckets[(step % Self::BUCKETS) as usize]
    }
}

/// Adds to the sum of this step. What another step has left there is gone, unless that one is of a later epoch.
fn add(cell: &AtomicU64, step: u32, more: u32) {
    let mut now = cell.load(Relaxed);
    loop {
        let (of, count) = split(now);
        let next = if of == step {
            join(step, count.saturating_add(more))
        } else if of.wrapping_sub(step) < TimeWindow::AHEAD {
            return;
        } else {
            join(step, more)
        };
        match cell.compare_exchange_weak(now, next, Relaxed, Relaxed) {
            Ok(_) => return,
            Err(changed) => now = changed,
        }
    }
}

const fn split(cell: u64) -> (u32, u32) {
    ((cell >> 32) as u32, cell as u32)
}

const fn join(step: u32, count: u32) -> u64 {
    (step as u64) << 32 | count as u64
}

// ===== impl Bucket =====

impl Bucket {
    fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self { calls: zero(), failures: zero(), slow: zero(), took: zero() }
    }
}

#[cfg(all(test, not(donjon_loom)))]
#[path = "window/tests.rs"]
mod tests;
