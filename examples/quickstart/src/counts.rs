//! What the upstream counts: calls, how many at once, and during the outage.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

/// The upstream's own account of its load.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    calls: AtomicU64,
    in_flight: AtomicUsize,
    max_in_flight: AtomicUsize,
    outage_calls: AtomicU64,
    outage_first_attempts: AtomicU64,
    /// How often each call has been seen.
    seen: Mutex<HashMap<Option<u64>, u32>>,
}

/// A call that has been counted.
#[derive(Debug)]
pub(crate) struct Counted {
    /// How often this call had been seen before.
    pub(crate) nth: u32,
    /// It is in flight until this is dropped.
    pub(crate) in_flight: InFlight,
}

/// A place among the calls that are in flight. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Counts>);

// ===== impl Counts =====

impl Counts {
    /// Counts a call whose head has been read.
    pub(crate) fn call(self: &Arc<Self>, id: Option<u64>, first_attempt: bool, out: bool) -> Counted {
        self.calls.fetch_add(1, Relaxed);
        if out {
            self.outage_calls.fetch_add(1, Relaxed);
            self.outage_first_attempts.fetch_add(u64::from(first_attempt), Relaxed);
        }
        let now = self.in_flight.fetch_add(1, Relaxed) + 1;
        self.max_in_flight.fetch_max(now, Relaxed);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let times = seen.entry(id).or_insert(0);
        let nth = *times;
        *times += 1;
        Counted { nth, in_flight: InFlight(Arc::clone(self)) }
    }

    /// Calls whose head has been read, those of the outage included.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// The most calls that were ever in flight at once: from the head of the request to the end of the response.
    pub(crate) fn max_in_flight(&self) -> usize {
        self.max_in_flight.load(Relaxed)
    }

    /// Calls whose head was read during the outage.
    pub(crate) fn outage_calls(&self) -> u64 {
        self.outage_calls.load(Relaxed)
    }

    /// Those of them that were the first attempt of their call.
    pub(crate) fn outage_first_attempts(&self) -> u64 {
        self.outage_first_attempts.load(Relaxed)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
