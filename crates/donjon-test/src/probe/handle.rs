use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use super::{ProbeStats, Readiness, Reply, Script, Started, Violation, state::State};

/// The test's end of a [`Probe`](crate::Probe): tells it what to do, and asks what was done to it. Clones are the same
/// handle.
#[derive(Clone, Default)]
pub struct ProbeHandle {
    state: Arc<Mutex<State>>,
}

// ===== impl ProbeHandle =====

impl ProbeHandle {
    /// What every call does for which nothing else was said; [`Reply::answer`] at first. Ends a script that
    /// [plays](Self::play).
    pub fn reply(&self, reply: Reply) {
        let mut state = self.lock();
        state.script = None;
        state.reply = reply;
    }

    /// Every call for which nothing else was said does what comes next in this script.
    pub fn play(&self, script: Script) {
        self.lock().script = Some(script);
    }

    /// What the next calls do, in the order in which they start; after all that was said before.
    pub fn reply_next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.lock().next.extend(replies);
    }

    /// Forgets what was said with [`reply_next`](Self::reply_next).
    pub fn forget_next(&self) {
        self.lock().next.clear();
    }

    /// What the instances say in `poll_ready` from now on. Wakes those who wait for it.
    pub fn set_readiness(&self, readiness: Readiness) {
        let wakers = {
            let mut state = self.lock();
            state.readiness = readiness;
            state.take_unready()
        };
        wake(wakers);
    }

    /// From now on there are at most this many calls and reservations at once: as tower's own `ConcurrencyLimit`, an
    /// instance takes a place when it becomes ready, holds it while it is not called, and gives it back when the call
    /// ends or the instance is dropped. No bound at first.
    pub fn set_capacity(&self, capacity: Option<usize>) {
        let wakers = {
            let mut state = self.lock();
            state.capacity = capacity;
            state.take_unready()
        };
        wake(wakers);
    }

    /// Lets up to `calls` of the calls that are [held](Reply::held) end, those first that started first. Says how many.
    pub fn release(&self, calls: usize) -> usize {
        let mut wakers = Vec::new();
        let mut released = 0;
        {
            let mut state = self.lock();
            for running in state.running.values_mut().filter(|running| running.held).take(calls) {
                running.held = false;
                released += 1;
                wakers.extend(running.waker.take());
            }
            state.stats.wakes += wakers.len();
        }
        wake(wakers);
        released
    }

    /// Lets all calls that are [held](Reply::held) end.
    pub fn release_all(&self) -> usize {
        self.release(usize::MAX)
    }

    /// Counts of what was done so far.
    #[must_use]
    pub fn stats(&self) -> ProbeStats {
        self.lock().stats
    }

    /// What was done so far that no layer may do.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.lock().violations.clone()
    }

    /// The calls that have started so far, in their order.
    #[must_use]
    pub fn started(&self) -> Vec<Started> {
        self.lock().started.clone()
    }

    /// The numbers of the calls that run now.
    #[must_use]
    pub fn in_flight(&self) -> BTreeSet<u64> {
        self.lock().running_ids()
    }

    /// Says that a poll from outside begins. The probe then notes a [`Violation::Spun`] when, within that one poll,
    /// something is polled again that was pending and that nobody has woken.
    pub fn begin_poll(&self) {
        self.lock().epoch += 1;
    }

    // A panic while the lock is held would be a fault of the probe itself; what it guards is only counts.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ProbeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeHandle").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Wakers run foreign code, so they run without the lock.
pub(crate) fn wake(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}
