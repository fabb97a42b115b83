use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::Ordering,
    task::{Poll, Waker},
};

use tokio::time::Instant;

use crate::{
    queue::{Key, Queue, Removed, Verdict},
    sync::{AtomicU32, AtomicU64, Mutex, lock},
    two_lane::TwoLane,
    word::{LIMIT, Word},
};

/// How many calls may be in flight, how many are, and who waits for a permit. No `Service`, no timer.
///
/// In flight and queued are one atomic [`Word`], so that whoever gives a permit back sees that somebody waits, or is
/// seen by the one who is about to wait. Three rules keep wake-ups from being lost:
///
/// 1. In flight grows only while nobody is queued, or under the lock of the queue.
/// 2. Queued changes only under the lock.
/// 3. Whoever makes room while somebody is queued (a permit given back, a higher maximum) then takes the lock and
///    grants permits until there is no room or nobody waits.
///
/// The first rule also keeps newcomers from passing those who wait. Nothing else is under the lock: wakers run and drop
/// outside of it.
#[repr(C)]
pub(crate) struct Limiter {
    // An `Arc` puts its own counts in front of these. Each call writes both, so they had better share a cache line;
    // what follows is kept off it.
    word: AtomicU64,
    max: AtomicU32,
    /// The most that has been in flight.
    peak: AtomicU32,
    bound: AtomicU32,
    _line: [u64; 8],
    queue: Mutex<Queue<Option<Waker>>>,
    pub(crate) counters: Counters,
}

/// What the word does not say. Written off the uncontended path alone.
#[derive(Debug)]
pub(crate) struct Counters {
    /// How often the count of admissions in the word has passed a half of its range.
    halves: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) cancelled_queued: AtomicU64,
    pub(crate) cancelled_running: AtomicU64,
}

/// What became of a caller at the door.
#[derive(Debug)]
pub(crate) enum Admission {
    Granted,
    /// Since when.
    Queued(Key, Instant),
    Refused,
}

/// Wakers to be woken outside of the lock.
#[derive(Default)]
#[must_use]
struct Wakes {
    first: Option<Waker>,
    more: Vec<Waker>,
}

// ===== impl Limiter =====

impl Limiter {
    pub(crate) fn new(max: usize, bound: usize) -> Self {
        Self {
            word: AtomicU64::new(0),
            max: AtomicU32::new(clamp(max)),
            peak: AtomicU32::new(0),
            bound: AtomicU32::new(clamp(bound)),
            _line: [0; 8],
            queue: Mutex::new(Queue::new()),
            counters: Counters {
                halves: AtomicU64::new(0),
                refused: AtomicU64::new(0),
                timed_out: AtomicU64::new(0),
                cancelled_queued: AtomicU64::new(0),
                cancelled_running: AtomicU64::new(0),
            },
        }
    }

    /// The same settings, and nobody there.
    pub(crate) fn fresh(&self) -> Self {
        let this = Self::new(self.max(), self.bound());
        if let Some(rules) = lock(&self.queue).two_lane() {
            lock(&this.queue).set_two_lane(TwoLane::new(rules.service_time()));
        }
        this
    }

    pub(crate) fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn bound(&self) -> usize {
        self.bound.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    pub(crate) fn admitted(&self) -> u64 {
        self.word().admitted(self.counters.halves.load(Ordering::Acquire))
    }

    /// Admits at once, or not at all.
    #[inline]
    pub(crate) fn try_admit(&self) -> bool {
        let mut word = Word(self.word.load(Ordering::Relaxed));
        loop {
            if word.queued() > 0 || word.in_flight() >= self.max.load(Ordering::Relaxed) {
                return false;
            }
            let next = word.admit();
            match self.word.compare_exchange_weak(word.0, next.0, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    self.note(word, next);
                    return true;
                }
                Err(seen) => word = Word(seen),
            }
        }
    }

    /// Admits, queues or refuses, for a caller that could not be admitted at once. `bounded` says whether the bound of
    /// the queue holds for it.
    #[cold]
    pub(crate) fn enqueue(&self, bounded: bool) -> Admission {
        let bound = || if bounded { self.bound.load(Ordering::Relaxed) } else { LIMIT };
        // A refusal takes no lock and reads no clock: what it saw in one load was true.
        let word = self.word();
        let max = self.max.load(Ordering::Relaxed);
        if max == 0 || (word.in_flight() >= max && word.queued() >= bound()) {
            return self.refuse();
        }

        let now = Instant::now();
        let mut wakes = Wakes::default();
        let admission = {
            let mut queue = lock(&self.queue);
            // Whoever has made room may not have had the lock yet; its room belongs to those who wait.
            self.grant(&mut queue, &mut wakes);
            let mut word = self.word();
            loop {
                let max = self.max.load(Ordering::Relaxed);
                let (next, admitted) = if max == 0 {
                    break self.refuse();
                } else if word.queued() == 0 && word.in_flight() < max {
                    (word.admit(), true)
                } else if word.queued() >= bound() {
                    break self.refuse();
                } else {
                    (word.enqueue(), false)
                };
                match self.word.compare_exchange_weak(word.0, next.0, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) if admitted => {
                        self.note(word, next);
                        break Admission::Granted;
                    }
                    Ok(_) => break Admission::Queued(queue.push(None, now), now),
                    Err(seen) => word = Word(seen),
                }
            }
        };
        wakes.wake();
        admission
    }

    /// Gives one permit back, to whoever waits first.
    #[inline]
    pub(crate) fn release(&self) {
        let before = Word(self.word.fetch_sub(Word::IN_FLIGHT, Ordering::AcqRel));
        debug_assert!(before.in_flight() > 0, "a permit is given back once");
        if before.queued() > 0 {
            self.hand_on();
        }
    }

    #[cold]
    fn hand_on(&self) {
        let mut wakes = Wakes::default();
        self.grant(&mut lock(&self.queue), &mut wakes);
        wakes.wake();
    }

    /// Whether the turn of this place has come. The place is gone when it has.
    pub(crate) fn poll(&self, key: Key, waker: &Waker) -> Poll<Verdict> {
        let old = {
            let mut queue = lock(&self.queue);
            match queue.get_mut(key) {
                Ok(Some(own)) if own.will_wake(waker) => return Poll::Pending,
                Ok(slot) => slot.replace(waker.clone()),
                Err(verdict) => {
                    queue.remove(key);
                    return Poll::Ready(verdict);
                }
            }
        };
        drop(old);
        Poll::Pending
    }

    /// Gives up a place: `None` if it still waited, or what had become of it. A permit that it had been granted is the
    /// caller's to give back.
    pub(crate) fn leave(&self, key: Key) -> Option<Verdict> {
        let removed = {
            let mut queue = lock(&self.queue);
            let removed = queue.remove(key);
            if let Removed::Waiting(_) = removed {
                self.word.fetch_sub(Word::QUEUED, Ordering::AcqRel);
            }
            removed
        };
        match removed {
            Removed::Waiting(_) => None,
            Removed::Settled(verdict) => Some(verdict),
        }
    }

    /// How many may be in flight from now on. More room goes to those who wait at once; less ends nothing that runs; 0
    /// refuses those who wait.
    pub(crate) fn set_max(&self, max: usize) {
        let mut wakes = Wakes::default();
        {
            let mut queue = lock(&self.queue);
            self.max.store(clamp(max), Ordering::Relaxed);
            self.grant(&mut queue, &mut wakes);
            if max == 0 {
                while let Some(waker) = queue.refuse() {
                    self.refuse_queued();
                    wakes.add(waker);
                }
            }
        }
        wakes.wake();
    }

    /// How many may wait from now on. Those who wait already stay.
    pub(crate) fn set_bound(&self, bound: usize) {
        self.bound.store(clamp(bound), Ordering::Relaxed);
    }

    pub(crate) fn set_two_lane(&self, rules: TwoLane) {
        lock(&self.queue).set_two_lane(rules);
    }

    /// Grants permits in the order of the queue until there is no room or nobody waits. Under the lock, while somebody
    /// is queued, nobody else can take room.
    fn grant(&self, queue: &mut Queue<Option<Waker>>, wakes: &mut Wakes) {
        loop {
            let word = self.word();
            if word.queued() == 0 || word.in_flight() >= self.max.load(Ordering::Relaxed) {
                return;
            }
            let popped = queue.pop(|| (Instant::now(), self.arrivals()));
            let Some((verdict, waker)) = popped else {
                debug_assert!(false, "the word and the queue agree under the lock");
                return;
            };
            wakes.add(waker);
            match verdict {
                Verdict::Granted => {
                    // One step: nobody sees the room that is being handed on.
                    let before = Word(self.word.fetch_add(Word::HAND_ON, Ordering::AcqRel));
                    self.note(before, Word(before.0.wrapping_add(Word::HAND_ON)));
                }
                Verdict::Refused => self.refuse_queued(),
            }
        }
    }

    /// What has to be known of each admission: the most in flight, and that the word's own count has passed a half.
    #[inline]
    fn note(&self, before: Word, after: Word) {
        if after.in_flight() > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(after.in_flight(), Ordering::Relaxed);
        }
        if before.half() != after.half() {
            self.counters.halves.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Counts a refusal at the door.
    pub(crate) fn refuse(&self) -> Admission {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
        Admission::Refused
    }

    fn refuse_queued(&self) {
        self.word.fetch_sub(Word::QUEUED, Ordering::AcqRel);
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How many callers have ever come, whatever became of them.
    fn arrivals(&self) -> u64 {
        let Counters { refused, timed_out, cancelled_queued, .. } = &self.counters;
        let ended = [refused, timed_out, cancelled_queued].map(|counter| counter.load(Ordering::Relaxed));
        self.admitted() + u64::from(self.word().queued()) + ended.iter().sum::<u64>()
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        f.debug_struct("Limiter")
            .field("max", &self.max())
            .field("queue", &self.bound())
            .field("in_flight", &word.in_flight())
            .field("queued", &word.queued())
            .finish()
    }
}

fn clamp(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(LIMIT).min(LIMIT)
}

// ===== impl Wakes =====

impl Wakes {
    /// One waker, the usual case, needs no memory.
    fn add(&mut self, waker: Option<Waker>) {
        if self.first.is_none() {
            self.first = waker;
        } else {
            self.more.extend(waker);
        }
    }

    /// Wakes them all, though one of them panics: the others have their permits already, and would sleep on them.
    fn wake(self) {
        let mut panicked = None;
        for waker in self.first.into_iter().chain(self.more) {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                panicked.get_or_insert(panic);
            }
        }
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
    }
}
