use std::{
    collections::BTreeMap,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        OnceLock,
        atomic::{
            AtomicBool, AtomicU64 as Counter,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::Waker,
    time::Duration,
};

use donjon_budget::Entropy;
use donjon_core::{state_changed, state_worsened};
use tokio::time::Instant;

use crate::{
    gate::{Asked, Changes, Command, Counters, Gate, Look, Verdict},
    settings::Settings,
    sync::{AtomicU64, Mutex, lock},
    tally::{Tallied, Tally},
    window::Sums,
    word::{Kind, Word},
};

/// The state that all clones of a breaker share. No `Service`, no timer, and no clock but the one passed in.
///
/// A closed circuit is its [`Word`] alone: admission loads it, and a result changes it by compare-and-swap. Everything else
/// is done by the [`Gate`], under a lock; what it has changed is stored in the word before the lock is released, and only
/// there does the word get another epoch. So whoever has the lock may trust that the epoch stays as it is.
#[repr(C)]
pub(crate) struct Circuit {
    // Read by every call, and written by none that succeeds while nothing fails: what follows is kept off its line.
    word: AtomicU64,
    tally: Tally,
    _line: [u64; 8],
    /// Until when it is open, in nanoseconds after the origin, so that refusing needs no lock. Only ever a hint: whoever
    /// is not refused by it asks the gate.
    until: AtomicU64,
    /// Whether the gate has been told of a `Retry-After`, so that other failures need no lock. Only ever a hint.
    is_hinted: AtomicBool,
    origin: OnceLock<Instant>,
    inner: Mutex<Inner>,
    entropy: Entropy,
    seed: Option<u64>,
    pub(crate) counts: Counts,
}

struct Inner {
    gate: Gate,
    waiters: BTreeMap<u64, Waker>,
    next_waiter: u64,
}

/// What the gate does not count.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) refused: Counter,
    pub(crate) failures: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) late: Counter,
}

/// How a call was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ticket {
    /// In this closed epoch.
    Closed(u32),
    Probe {
        epoch: u32,
        id: u32,
    },
    /// By the operator; only its failures are counted.
    Watched,
    /// Whatever comes of it is nobody's business.
    Free,
}

/// After how long another call has a chance, if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Option<Duration>);

/// Figures of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) kind: Kind,
    pub(crate) score: u32,
    pub(crate) sums: Sums,
    pub(crate) counters: Counters,
}

/// In the place of an instant: until something happens.
const UNTIL_TOLD: u64 = u64::MAX;

// ===== impl Circuit =====

impl Circuit {
    pub(crate) fn new(tally: Tally, settings: Settings, seed: Option<u64>) -> Self {
        Self {
            word: AtomicU64::new(Word::new(Kind::Closed, 0).0),
            tally,
            _line: [0; 8],
            until: AtomicU64::new(0),
            is_hinted: AtomicBool::new(false),
            origin: OnceLock::new(),
            inner: Mutex::new(Inner { gate: Gate::new(settings), waiters: BTreeMap::new(), next_waiter: 0 }),
            entropy: seed.map_or_else(Entropy::random, Entropy::seeded),
            seed,
            counts: Counts::default(),
        }
    }

    /// The settings of this moment, and nothing remembered.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(self.tally.fresh(), self.settings(), self.seed)
    }

    pub(crate) const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A call wants to go through. The clock is read only if the circuit is not closed, or throttles.
    #[inline]
    pub(crate) fn admit(&self, now: impl FnOnce() -> Instant) -> Result<Ticket, Refused> {
        let word = Word(self.word.load(Acquire));
        if word.kind() == Kind::Closed && !self.tally.throttles() {
            return Ok(Ticket::Closed(word.epoch()));
        }
        self.admit_slowly(word, now())
    }

    #[cold]
    fn admit_slowly(&self, word: Word, now: Instant) -> Result<Ticket, Refused> {
        let admitted = match word.kind() {
            Kind::Closed => self.throttle(word.epoch(), now),
            Kind::Open => match self.still_open(now) {
                Some(refused) => Err(refused),
                None => self.ask(now),
            },
            Kind::Disabled => Ok(Ticket::Free),
            Kind::ForcedClosed => Ok(Ticket::Watched),
            Kind::HalfOpen | Kind::ForcedOpen => self.ask(now),
        };
        if admitted.is_err() {
            self.counts.refused.fetch_add(1, Relaxed);
        }
        admitted
    }

    fn throttle(&self, epoch: u32, now: Instant) -> Result<Ticket, Refused> {
        if self.tally.refuses(epoch, self.elapsed(now), || self.entropy.next_u64()) {
            return Err(Refused(None));
        }
        Ok(Ticket::Closed(epoch))
    }

    /// The answer of a circuit that is open, without its lock.
    fn still_open(&self, now: Instant) -> Option<Refused> {
        match self.until.load(Relaxed) {
            UNTIL_TOLD => Some(Refused(None)),
            until => {
                let left = Duration::from_nanos(until).checked_sub(self.elapsed(now))?;
                (!left.is_zero()).then_some(Refused(Some(left)))
            }
        }
    }

    fn ask(&self, now: Instant) -> Result<Ticket, Refused> {
        let mut inner = lock(&self.inner);
        let asked = inner.gate.ask(now, self.entropy.next_u64());
        let epoch = inner.gate.epoch();
        let changes = self.publish(&mut inner.gate, Some(now));
        drop(inner);
        tell(changes);
        match asked {
            Asked::Closed => Ok(Ticket::Closed(epoch)),
            Asked::Probe(id) => Ok(Ticket::Probe { epoch, id }),
            Asked::Watched => Ok(Ticket::Watched),
            Asked::Disabled => Ok(Ticket::Free),
            Asked::Refused(until) => Err(Refused(until.map(|until| until.saturating_duration_since(now)))),
        }
    }

    /// A call has ended, after so long if that was measured. The clock is read only where something is to be timed.
    #[inline]
    pub(crate) fn finish(
        &self,
        ticket: Ticket,
        verdict: Verdict,
        took: Option<Duration>,
        now: impl FnOnce() -> Instant,
    ) {
        if let (Ticket::Closed(epoch), Verdict::Success) = (ticket, verdict)
            && self.tally.is_untouched_by_success(&self.word, epoch)
        {
            return;
        }
        self.finish_slowly(ticket, verdict, took, now);
    }

    fn finish_slowly(&self, ticket: Ticket, verdict: Verdict, took: Option<Duration>, now: impl FnOnce() -> Instant) {
        let failed = matches!(verdict, Verdict::Failure { .. });
        let counted = match ticket {
            Ticket::Free => return,
            Ticket::Watched => true,
            Ticket::Probe { epoch, id } => self.judge(epoch, id, self.tally.strictly(verdict, took), now()),
            Ticket::Closed(_) if matches!(verdict, Verdict::Nothing | Verdict::Dropped) => true,
            Ticket::Closed(epoch) => self.count(epoch, verdict, took, now),
        };
        if !counted {
            self.counts.late.fetch_add(1, Relaxed);
        } else if failed {
            self.counts.failures.fetch_add(1, Relaxed);
        }
    }

    /// Counts the result of a call of a closed epoch, and opens the circuit if that was one too many. The gate is told only
    /// what it has to know: of that, of a `Retry-After`, and that an earlier one is outdated.
    fn count(&self, epoch: u32, verdict: Verdict, took: Option<Duration>, now: impl FnOnce() -> Instant) -> bool {
        let mut read = None;
        let mut now = Some(now);
        let mut clock = || *read.get_or_insert_with(|| now.take().expect("it is read once")());
        let failure = matches!(verdict, Verdict::Failure { .. });
        let tallied = self.tally.record(&self.word, epoch, failure, took, || self.elapsed(clock()));
        let retry_after = verdict.retry_after().filter(|_| !self.tally.throttles());
        let is_news = match tallied {
            Tallied::Counted { trips: true, .. } => true,
            Tallied::Counted { first, .. } => retry_after.is_some() || first && self.is_hinted.load(Relaxed),
            Tallied::Late => retry_after.is_some() && self.has_opened_after(epoch),
        };
        if is_news {
            self.tell_gate(epoch, tallied, retry_after, clock());
        }
        tallied != Tallied::Late
    }

    #[cold]
    fn tell_gate(&self, epoch: u32, tallied: Tallied, retry_after: Option<Duration>, now: Instant) {
        let mut inner = lock(&self.inner);
        let gate = &mut inner.gate;
        if let Tallied::Counted { first: true, .. } = tallied {
            // One that has counted later may have been here before: its hint is lost with those that are outdated.
            gate.forget(epoch);
        }
        // Even of a call that has counted, when another one has opened the circuit meanwhile.
        if let Some(retry_after) = retry_after {
            gate.heed(epoch, retry_after, now);
        }
        if let Tallied::Counted { trips: true, .. } = tallied {
            gate.trip(epoch, now, self.entropy.next_u64());
        }
        self.is_hinted.store(gate.is_hinted(), Relaxed);
        let changes = self.publish(gate, Some(now));
        drop(inner);
        tell(changes);
    }

    /// Whether it is open, and was closed in this epoch before.
    fn has_opened_after(&self, epoch: u32) -> bool {
        let word = Word(self.word.load(Relaxed));
        word.kind() == Kind::Open && word.epoch() == (epoch + 1) % Word::EPOCHS
    }

    fn judge(&self, epoch: u32, id: u32, verdict: Verdict, now: Instant) -> bool {
        let mut inner = lock(&self.inner);
        let counted = inner.gate.judge(epoch, id, verdict, now, self.entropy.next_u64());
        let changes = self.publish(&mut inner.gate, Some(now));
        let waiters = mem::take(&mut inner.waiters);
        drop(inner);
        wake(waiters);
        tell(changes);
        counted
    }

    pub(crate) fn command(&self, command: Command) {
        let mut inner = lock(&self.inner);
        inner.gate.command(command);
        let changes = self.publish(&mut inner.gate, None);
        let waiters = mem::take(&mut inner.waiters);
        drop(inner);
        wake(waiters);
        tell(changes);
    }

    pub(crate) fn settings(&self) -> Settings {
        lock(&self.inner).gate.settings()
    }

    /// Changes settings of openings, for those that begin from now on.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        lock(&self.inner).gate.set(change);
    }

    /// Whether it refuses none, but by chance.
    #[inline]
    pub(crate) fn admits_all(&self) -> bool {
        matches!(self.kind(), Kind::Closed | Kind::ForcedClosed | Kind::Disabled)
    }

    /// Whether a call would be let in now; if not, the waker is woken when that may have changed by anything but time.
    pub(crate) fn look(&self, key: &mut Option<u64>, waker: &Waker, now: impl FnOnce() -> Instant) -> Look {
        if self.admits_all() {
            return Look::Admits;
        }
        let now = now();
        // Cloned and dropped outside of the lock: both are foreign code.
        let waker = waker.clone();
        let mut inner = lock(&self.inner);
        let look = inner.gate.look(now, self.entropy.next_u64());
        let changes = self.publish(&mut inner.gate, Some(now));
        let mut old = None;
        if look != Look::Admits {
            let key = *key.get_or_insert_with(|| {
                inner.next_waiter += 1;
                inner.next_waiter
            });
            old = inner.waiters.insert(key, waker);
        }
        drop(inner);
        drop(old);
        tell(changes);
        look
    }

    /// Nobody is to be woken by this key any more.
    pub(crate) fn forget(&self, key: u64) {
        let waker = lock(&self.inner).waiters.remove(&key);
        drop(waker);
    }

    pub(crate) fn figures(&self, now: impl FnOnce() -> Instant) -> Figures {
        let inner = lock(&self.inner);
        let word = Word(self.word.load(Acquire));
        let kind = inner.gate.kind();
        let counters = inner.gate.counters;
        drop(inner);
        let (score, sums) = match kind {
            Kind::Closed => self.tally.figures(word, || self.elapsed(now())),
            _ => (0, Sums::default()),
        };
        Figures { kind, score, sums, counters }
    }

    pub(crate) fn kind(&self) -> Kind {
        Word(self.word.load(Acquire)).kind()
    }

    /// Under the lock: tells the word what the gate has become now. The operator, who opens for no time, needs no clock.
    /// Gives the states that it has been in since.
    fn publish(&self, gate: &mut Gate, now: Option<Instant>) -> Changes {
        let changes = gate.take_changes();
        // Even if it was open before: it may be so for longer.
        if let (Kind::Open, Some(now)) = (gate.kind(), now) {
            // The origin is not to be what lies ahead.
            self.elapsed(now);
            let until = gate.until().map_or(UNTIL_TOLD, |until| {
                u64::try_from(self.elapsed(until).as_nanos()).unwrap_or(UNTIL_TOLD).min(UNTIL_TOLD - 1)
            });
            self.until.store(until, Relaxed);
        }
        let word = Word(self.word.load(Relaxed));
        if (word.kind(), word.epoch()) != (gate.kind(), gate.epoch()) {
            // A swap and no store, so that all changes of the word are read-modify-writes and have one order.
            self.word.swap(Word::new(gate.kind(), gate.epoch()).0, Release);
        }
        changes
    }

    /// How long after the origin, which is the first instant that was asked for.
    fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.origin.get_or_init(|| now))
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("state", &self.kind())
            .field("tally", &self.tally)
            .field("settings", &self.settings())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

/// An event for each change of the state; without the lock, since whoever listens is foreign code.
fn tell(changes: Changes) {
    for kind in changes.iter() {
        match kind {
            Kind::Open => state_worsened("breaker", "state", kind.as_str()),
            _ => state_changed("breaker", "state", kind.as_str()),
        }
    }
}

/// A waker that panics keeps nobody else asleep.
fn wake(waiters: BTreeMap<u64, Waker>) {
    let mut panicked = None;
    for waker in waiters.into_values() {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            panicked = Some(panic);
        }
    }
    if let Some(panic) = panicked {
        resume_unwind(panic);
    }
}

#[cfg(all(test, not(donjon_loom)))]
#[path = "circuit/tests.rs"]
mod tests;
