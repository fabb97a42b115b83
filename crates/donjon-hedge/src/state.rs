use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use donjon_core::Ratio;

use crate::{
    delay::{Delay, Kind},
    learned::Learned,
    measured::Measured,
};

/// What clones of a layer share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) delay: Delay,
    /// At most so many copies beside the first.
    pub(crate) max_hedges: AtomicU32,
    pub(crate) hedges: AtomicU64,
    pub(crate) won: AtomicU64,
    pub(crate) unpaid: AtomicU64,
    knowledge: Knowledge,
}

#[derive(Debug)]
enum Knowledge {
    None,
    /// A [`Learned`] as a word.
    Learned(AtomicU64),
    Measured {
        measured: Box<Mutex<Measured>>,
        share: Ratio,
        micros: AtomicU64,
    },
}

// ===== impl State =====

// Each counter is by itself, and nothing else is published by them: relaxed is enough.
impl State {
    /// What a percentile is before enough is known.
    const UNKNOWN: u64 = u64::MAX;

    pub(crate) fn new(delay: Delay, max_hedges: u32) -> Self {
        let knowledge = match &delay.kind {
            Kind::Learned { start } => Knowledge::Learned(AtomicU64::new(Learned::new(*start).to_word())),
            Kind::Fixed(_) => Knowledge::None,
            Kind::Percentile(share) => Knowledge::Measured {
                measured: Box::new(Mutex::new(Measured::new())),
                share: *share,
                micros: AtomicU64::new(Self::UNKNOWN),
            },
        };
        Self {
            delay,
            max_hedges: AtomicU32::new(max_hedges),
            hedges: AtomicU64::new(0),
            won: AtomicU64::new(0),
            unpaid: AtomicU64::new(0),
            knowledge,
        }
    }

    pub(crate) fn fresh(&self) -> Self {
        Self::new(self.delay.clone(), self.max_hedges.load(Ordering::Relaxed))
    }

    /// No more than the delay has times for: what fails at once would else be sent as often as this says.
    pub(crate) fn set_max_hedges(&self, hedges: u32) {
        self.max_hedges.store(hedges.min(self.delay.copies()), Ordering::Relaxed);
    }

    /// How long after its beginning a call is late, for the copy of this number (0 is the first hedge).
    pub(crate) fn delay(&self, copy: usize) -> Option<Duration> {
        match (&self.knowledge, &self.delay.kind) {
            (Knowledge::Learned(word), _) => {
                let delay = Learned::from_word(word.load(Ordering::Relaxed)).delay();
                match copy {
                    0 => Some(delay),
                    1 => Some(delay.mul_f32(1.6)),
                    _ => None,
                }
            }
            (Knowledge::Measured { micros, .. }, _) => match micros.load(Ordering::Relaxed) {
                micros if copy == 0 && micros != Self::UNKNOWN => Some(Duration::from_micros(micros)),
                _ => None,
            },
            (Knowledge::None, Kind::Fixed(delays)) => delays.get(copy).copied(),
            (Knowledge::None, _) => None,
        }
    }

    /// Whether a call says that it is late even if it cannot be hedged any more.
    pub(crate) fn is_learned(&self) -> bool {
        matches!(self.knowledge, Knowledge::Learned(_))
    }

    /// Whether calls are to be timed from their beginning.
    pub(crate) fn is_measured(&self) -> bool {
        matches!(self.knowledge, Knowledge::Measured { .. })
    }

    /// A call is still out when its delay is over.
    pub(crate) fn late(&self) {
        self.learn(Learned::late);
    }

    /// A call was answered before its delay was over.
    #[inline]
    pub(crate) fn in_time(&self) {
        self.learn(Learned::in_time);
    }

    #[inline]
    fn learn(&self, step: impl Fn(Learned) -> Learned) {
        if let Knowledge::Learned(word) = &self.knowledge {
            let next = |word| Some(step(Learned::from_word(word)).to_word());
            let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        }
    }

    /// A copy took this long, or at least this long.
    pub(crate) fn record(&self, took: Duration) {
        if let Knowledge::Measured { measured, share, micros } = &self.knowledge
            && let Some(delay) = lock(measured).record(took, *share)
        {
            micros.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

/// Nothing panics while it is held.
fn lock(measured: &Mutex<Measured>) -> MutexGuard<'_, Measured> {
    measured.lock().unwrap_or_else(PoisonError::into_inner)
}
