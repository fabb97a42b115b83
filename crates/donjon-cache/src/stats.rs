use std::{
    cell::Cell,
    sync::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use donjon_store::Stored;

/// Figures of a cache, over all that share one state.
///
/// Each is exact; read while calls come and go, they need not be of the same instant. What the store holds it says
/// itself: [`Handle::store`](crate::Handle::store).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls that were answered by a fresh value.
    pub hits: u64,
    /// Calls that found nothing that could be served at once.
    pub misses: u64,
    /// Misses that joined the call of another one instead of making one. Part of `misses`.
    pub coalesced: u64,
    /// Calls that were answered by a stale value at once, while the next one was brought.
    pub stale: u64,
    /// Calls that were answered by a stale value because the inner service failed. Part of `misses`.
    pub rescued: u64,
    /// Calls that had no key, and went through.
    pub bypassed: u64,
    /// Misses that were refused by the cache itself: too many waited for the same, or their deadline had passed.
    pub refused: u64,
    /// Refreshes that were started in the background.
    pub refreshes: u64,
    /// Refreshes that brought no answer: they failed, or were ended.
    pub failed_refreshes: u64,
    /// Refreshes that were not started, since as many ran as may, the one before had just failed, the budget did not
    /// pay for them, or there was no runtime.
    pub skipped_refreshes: u64,
    /// How many refreshes run now.
    pub refreshing: usize,
    /// Answers that were stored.
    pub stored: u64,
    /// Answers that were not to be stored: by their kind, or since nothing was to be kept of them.
    pub unstored: u64,
    /// Answers that the store refused: too heavy, or overtaken by a removal.
    pub store_refusals: u64,
    /// How often the store failed. A lookup that fails is a miss.
    pub store_errors: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: Striped,
    pub(crate) misses: AtomicU64,
    pub(crate) coalesced: AtomicU64,
    pub(crate) stale: AtomicU64,
    pub(crate) rescued: AtomicU64,
    pub(crate) bypassed: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) refreshes: AtomicU64,
    pub(crate) failed_refreshes: AtomicU64,
    pub(crate) skipped_refreshes: AtomicU64,
    pub(crate) refreshing: AtomicUsize,
    pub(crate) stored: AtomicU64,
    pub(crate) unstored: AtomicU64,
    pub(crate) store_refusals: AtomicU64,
    pub(crate) store_errors: AtomicU64,
}

/// A counter that threads add to without meeting at one cache line: hits are the one thing that all of them have.
#[derive(Debug, Default)]
pub(crate) struct Striped {
    stripes: [Stripe; STRIPES],
}

/// As large as what two neighbouring cache lines hold, which processors fetch together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

const STRIPES: usize = 8;

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}

// ===== impl Counters =====

impl Counters {
    pub(crate) fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Stats {
            hits: self.hits.sum(),
            misses: read(&self.misses),
            coalesced: read(&self.coalesced),
            stale: read(&self.stale),
            rescued: read(&self.rescued),
            bypassed: read(&self.bypassed),
            refused: read(&self.refused),
            refreshes: read(&self.refreshes),
            failed_refreshes: read(&self.failed_refreshes),
            skipped_refreshes: read(&self.skipped_refreshes),
            refreshing: self.refreshing.load(Relaxed),
            stored: read(&self.stored),
            unstored: read(&self.unstored),
            store_refusals: read(&self.store_refusals),
            store_errors: read(&self.store_errors),
        }
    }

    /// How many answers have been stored: read before a lookup, it says later whether one has come since.
    #[inline]
    pub(crate) fn brought(&self) -> u64 {
        self.stored.load(Acquire)
    }

    pub(crate) fn filled<E>(&self, result: &Result<Stored, E>) {
        count(match result {
            Ok(Stored::Kept) => {
                // Whoever sees it sees the value too, if it looks after that.
                self.stored.fetch_add(1, Release);
                return;
            }
            Ok(Stored::NoLifetime) => &self.unstored,
            Ok(_) => &self.store_refusals,
            Err(_) => &self.store_errors,
        });
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

// ===== impl Striped =====

impl Striped {
    #[inline]
    pub(crate) fn count(&self) {
        self.stripes[stripe() % STRIPES].0.fetch_add(1, Relaxed);
    }

    fn sum(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.0.load(Relaxed)).sum()
    }
}

/// The number of this thread, as long as it is one of few.
#[inline]
fn stripe() -> usize {
    match STRIPE.get() {
        usize::MAX => next_stripe(),
        stripe => stripe,
    }
}

#[cold]
fn next_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let stripe = NEXT.fetch_add(1, Relaxed) % STRIPES;
    STRIPE.set(stripe);
    stripe
}
