use std::{fmt, sync::Arc, time::Duration};

use donjon_core::{Answer, Fresh, Never};
use tokio::time::Instant;

use crate::{
    Ask, Limiter, Rate, Standing, Turn, Verdict,
    cell::{Cell, View},
    gcra::{self, SPAN, Terms},
    ledger::{Ledger, Place},
    sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock},
};

/// How many may wait, unless said.
const QUEUE: usize = 1024;

/// A limiter in the process: GCRA over one atomic word.
///
/// Clones are the same limiter. It can be used by itself, without a layer: it is told the time.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_rate_limit::{Ask, Limiter, LocalLimiter, Rate, Verdict};
/// use tokio::time::Instant;
///
/// let limiter = LocalLimiter::new(Rate::per_second(10).burst(1));
/// let now = Instant::now();
/// let ask = |now| limiter.acquire(Ask::new(now, 1, Duration::ZERO)).into_inner();
///
/// assert!(matches!(ask(now), Verdict::Admitted(_)));
/// let Verdict::Refused { retry_after: Some(after), .. } = ask(now) else { panic!() };
/// assert_eq!(after, Duration::from_millis(100));
/// assert!(matches!(ask(now + after), Verdict::Admitted(_)));
/// ```
#[derive(Clone)]
pub struct LocalLimiter {
    shared: Arc<Shared>,
}

/// A place among those who wait for a [`LocalLimiter`].
///
/// Dropped before it was taken, it gives back what it can without letting anybody start too early. The last place is
/// undone, as if the call had never come. A place before others stays where it is in time, for whoever comes next and is
/// content with it; those who wait behind it keep their turns.
pub struct LocalTurn {
    shared: Arc<Shared>,
    at: Instant,
    /// The number of the terms in whose units the place is.
    terms: u64,
    place: Place,
    taken: bool,
}

#[repr(C)]
pub(crate) struct Shared {
    cell: Cell,
    // Beside the word: whoever has just swapped that has this line.
    admitted: AtomicU64,
    refused: AtomicU64,
    waited: AtomicU64,
    cancelled: AtomicU64,
    queue: AtomicU64,
    /// How many places are free, to be looked at without the lock.
    free: AtomicU64,
    ledger: Mutex<Ledger>,
    epoch: Instant,
}

/// Figures of a rate limit: see [`Stats`](crate::Stats).
pub(crate) struct Figures {
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
    pub(crate) waited: u64,
    pub(crate) cancelled: u64,
    pub(crate) waiting: usize,
    pub(crate) available: u64,
    pub(crate) burst: u64,
}

// ===== impl LocalLimiter =====

impl LocalLimiter {
    /// A limiter of this rate, with all of its burst.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self::with_queue(rate, QUEUE)
    }

    fn with_queue(rate: Rate, queue: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                cell: Cell::new(rate),
                admitted: AtomicU64::new(0),
                refused: AtomicU64::new(0),
                waited: AtomicU64::new(0),
                cancelled: AtomicU64::new(0),
                queue: AtomicU64::new(queue as u64),
                free: AtomicU64::new(0),
                ledger: Mutex::default(),
                epoch: Instant::now(),
            }),
        }
    }

    /// The rate now.
    pub fn rate(&self) -> Rate {
        self.shared.cell.rate()
    }

    pub(crate) fn set_rate(&self, rate: Rate) {
        let nanos = self.shared.nanos(Instant::now());
        self.shared.cell.change(nanos, Some(rate));
    }

    pub(crate) fn queue(&self) -> usize {
        usize::try_from(self.shared.queue.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    pub(crate) fn set_queue(&self, bound: usize) {
        self.shared.queue.store(bound as u64, Ordering::Relaxed);
    }

    pub(crate) fn figures(&self) -> Figures {
        let shared = &*self.shared;
        let view = shared.cell.read(shared.nanos(Instant::now()));
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            admitted: read(&shared.admitted),
            refused: read(&shared.refused),
            waited: read(&shared.waited),
            cancelled: read(&shared.cancelled),
            waiting: shared.ledger().waiting,
            available: view.terms.available(view.word.full_at(), view.now),
            burst: view.terms.burst,
        }
    }

    /// The call has no turn at once: it takes a free place or the last one, or is refused.
    #[cold]
    fn acquire_later(&self, ask: &Ask, view: &View, wait: Option<u64>) -> Verdict<LocalTurn> {
        let shared = &*self.shared;
        let nanos = shared.nanos(ask.now());
        let patience = u64::try_from(ask.patience().as_nanos()).unwrap_or(u64::MAX);
        // Whoever would wait for too long takes no lock, so that a crowd is refused cheaply. A place that becomes free
        // at this very moment is for the next one.
        if wait.is_none_or(|wait| wait > patience)
            && shared.free.load(Ordering::Relaxed) == 0
            && shared.cell.holds(view)
        {
            return shared.refuse(view, wait.map(Duration::from_nanos));
        }
        let mut ledger = shared.ledger();
        loop {
            let view = shared.cell.read(nanos);
            let terms = shared.cell.changes();
            ledger.advance(terms, view.now);
            let units = match view.terms.turn(view.word.full_at(), view.now, ask.cost()) {
                gcra::Turn::Now { full_at } => {
                    if shared.cell.replace(&view, full_at) {
                        return shared.admit(&view, full_at);
                    }
                    continue;
                }
                gcra::Turn::Never => {
                    if shared.cell.holds(&view) {
                        return shared.refuse(&view, None);
                    }
                    continue;
                }
                gcra::Turn::Later { .. } => ask.cost() * view.terms.step,
            };
            let free = ledger.first(units);
            let place = free.unwrap_or_else(|| {
                let start = view.word.full_at();
                Place { start, end: start + units }
            });
            let at = place.end.saturating_sub(view.terms.full());
            let wait = at.saturating_sub(view.now);
            let nanos_to_wait = view.terms.nanos(wait);
            let impatient = nanos_to_wait > patience || wait > SPAN || ledger.waiting >= self.queue();
            if wait > 0 && impatient {
                if shared.cell.holds(&view) {
                    return shared.refuse(&view, Some(Duration::from_nanos(nanos_to_wait)));
                }
                continue;
            }
            if free.is_some() {
                if !shared.cell.holds(&view) {
                    continue;
                }
                ledger.take(place);
                shared.count_free(&ledger);
            } else if !shared.cell.replace(&view, place.end) {
                continue;
            }
            if wait == 0 {
                return shared.admit(&view, view.word.full_at());
            }
            ledger.waiting += 1;
            return Verdict::Wait(LocalTurn {
                shared: Arc::clone(&self.shared),
                at: shared.epoch + Duration::from_nanos(view.nanos_of(at)),
                terms,
                place,
                taken: false,
            });
        }
    }
}

impl Limiter for LocalLimiter {
    type Turn = LocalTurn;
    type Later = Never<Verdict<LocalTurn>>;

    // Always: where nobody looks at the standing, its divisions are left out.
    #[inline(always)]
    fn acquire(&self, ask: Ask) -> Answer<Self::Later> {
        let shared = &*self.shared;
        let nanos = shared.nanos(ask.now());
        loop {
            let view = shared.cell.read(nanos);
            match view.terms.turn(view.word.full_at(), view.now, ask.cost()) {
                gcra::Turn::Now { full_at } => {
                    if shared.cell.replace(&view, full_at) {
                        return Answer::Now(shared.admit(&view, full_at));
                    }
                }
                gcra::Turn::Later { at, .. } => {
                    let wait = view.terms.nanos(at - view.now);
                    return Answer::Now(self.acquire_later(&ask, &view, Some(wait)));
                }
                gcra::Turn::Never => return Answer::Now(self.acquire_later(&ask, &view, None)),
            }
        }
    }
}

impl Fresh for LocalLimiter {
    /// A limiter of its own, with the rate and the bound of waiting calls that this one has now.
    fn fresh(&self) -> Self {
        Self::with_queue(self.rate(), self.queue())
    }

    /// A limiter of its own that refuses nothing.
    fn bypass(&self) -> Self {
        Self::new(Rate::per(1, Duration::ZERO).burst(u64::MAX))
    }

    /// Whether somebody waits, or a clone of this limiter is there.
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }

    /// As long as the burst takes to come back from nothing, at the rate of now.
    fn memory(&self) -> Duration {
        let terms = Terms::new(self.rate());
        Duration::from_nanos(terms.nanos(terms.full()))
    }
}

impl fmt::Debug for LocalLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalLimiter").field("rate", &self.rate()).field("queue", &self.queue()).finish()
    }
}

// ===== impl LocalTurn =====

impl Turn for LocalTurn {
    fn at(&self) -> Instant {
        self.at
    }

    fn take(mut self) -> Option<Standing> {
        self.taken = true;
        let shared = &*self.shared;
        let mut ledger = shared.ledger();
        ledger.waiting -= 1;
        let view = shared.cell.read(shared.nanos(self.at));
        if view.terms.burst == 0 {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        shared.admitted.fetch_add(1, Ordering::Relaxed);
        shared.waited.fetch_add(1, Ordering::Relaxed);
        Some(shared.standing(&view, view.word.full_at()))
    }
}

impl Drop for LocalTurn {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let shared = &*self.shared;
        shared.cancelled.fetch_add(1, Ordering::Relaxed);
        let nanos = shared.nanos(Instant::now());
        let mut ledger = shared.ledger();
        ledger.waiting -= 1;
        loop {
            let view = shared.cell.read(nanos);
            let terms = shared.cell.changes();
            ledger.advance(terms, view.now);
            if terms != self.terms {
                // It was in other terms: the change of terms has kept its time free of others, and that is over.
                break;
            }
            if view.word.full_at() != self.place.end {
                let queue = usize::try_from(shared.queue.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
                if shared.cell.holds(&view) {
                    ledger.put(self.place, queue);
                    ledger.advance(terms, view.now);
                    break;
                }
                continue;
            }
            // The free places before it are gone as well, when it is.
            let mut before = ledger.clone();
            if shared.cell.replace(&view, before.end_before(self.place.start)) {
                *ledger = before;
                break;
            }
        }
        shared.count_free(&ledger);
    }
}

impl fmt::Debug for LocalTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalTurn").field("at", &self.at).finish_non_exhaustive()
    }
}

// ===== impl Shared =====

impl Shared {
    #[inline]
    fn nanos(&self, at: Instant) -> u64 {
        // 584 years.
        at.saturating_duration_since(self.epoch).as_nanos() as u64
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    fn count_free(&self, ledger: &Ledger) {
        self.free.store(ledger.free() as u64, Ordering::Relaxed);
    }

    #[inline]
    fn admit<T>(&self, view: &View, full_at: u64) -> Verdict<T> {
        self.admitted.fetch_add(1, Ordering::Relaxed);
        Verdict::Admitted(self.standing(view, full_at))
    }

    fn refuse<T>(&self, view: &View, retry_after: Option<Duration>) -> Verdict<T> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Verdict::Refused { retry_after, standing: Some(self.standing(view, view.word.full_at())) }
    }

    #[inline]
    fn standing(&self, view: &View, full_at: u64) -> Standing {
        let terms = &view.terms;
        let duration = |units| Duration::from_nanos(terms.nanos(units));
        Standing {
            burst: terms.burst,
            window: duration(terms.full()),
            remaining: terms.available(full_at, view.now),
            reset: duration(full_at.saturating_sub(view.now)),
        }
    }
}
