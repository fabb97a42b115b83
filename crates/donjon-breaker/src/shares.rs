use std::{
    cell::Cell,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use crate::{cancel::OnCancel, circuit::Circuit};

/// What a layer application has besides the circuit.
#[derive(Debug)]
pub(crate) struct Config<C> {
    pub(crate) circuit: Arc<Circuit>,
    pub(crate) classify: C,
    pub(crate) on_cancel: OnCancel,
    pub(crate) backpressure: bool,
    pub(crate) bypass: bool,
}

/// What each call takes a reference of: one for each thread, as far as they go round.
///
/// A call needs the circuit when it ends, and its service may be gone by then. If all counted their references in one
/// place, each call would write to it twice, and two cores would wait for each other there: 20 ns a call, more than all
/// the rest.
#[derive(Debug)]
pub(crate) struct Shares<C> {
    config: Arc<Config<C>>,
    shares: [OnceLock<Arc<Share<C>>>; SHARES],
}

/// Has a cache line to itself, and so has its count of references.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Share<C> {
    config: Arc<Config<C>>,
}

const SHARES: usize = 16;

thread_local! {
    /// The number of this thread; `usize::MAX` before it has one.
    static THREAD: Cell<usize> = const { Cell::new(usize::MAX) };
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

// ===== impl Config =====

impl<C> Config<C> {
    /// Whether it matters when a call has begun.
    #[inline]
    pub(crate) fn times(&self) -> bool {
        self.circuit.tally().times() || self.on_cancel.times()
    }
}

// ===== impl Shares =====

impl<C> Shares<C> {
    pub(crate) fn new(config: Config<C>) -> Self {
        Self { config: Arc::new(config), shares: [const { OnceLock::new() }; SHARES] }
    }

    #[inline]
    pub(crate) fn config(&self) -> &Config<C> {
        &self.config
    }

    /// The share of this thread. The first one allocates it.
    #[inline]
    pub(crate) fn take(&self) -> Arc<Share<C>> {
        let share = self.shares[thread() % SHARES].get_or_init(|| Arc::new(Share { config: Arc::clone(&self.config) }));
        Arc::clone(share)
    }
}

#[inline]
fn thread() -> usize {
    THREAD.with(|thread| {
        if thread.get() == usize::MAX {
            // Wraps long after the last thread that there could be.
            thread.set(THREADS.fetch_add(1, Relaxed) % SHARES);
        }
        thread.get()
    })
}

// ===== impl Share =====

impl<C> Share<C> {
    #[inline]
    pub(crate) fn config(&self) -> &Config<C> {
        &self.config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_shares_of_their_own_and_keep_them() {
        let mine = thread();
        let other = std::thread::spawn(thread).join().expect("no panic");
        assert!(mine < SHARES && other < SHARES);
        assert_eq!(thread(), mine);
        // More threads than shares go round; so many that those of other tests, which come in between, hide no share.
        let all: std::collections::BTreeSet<_> =
            (0..16 * SHARES).map(|_| std::thread::spawn(thread).join().expect("no panic")).collect();
        assert_eq!(all.len(), SHARES);
    }
}
