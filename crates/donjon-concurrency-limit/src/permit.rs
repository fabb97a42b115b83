use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use tokio::time::Instant;

use crate::{
    queue::{Key, Verdict},
    state::{Admission, Limiter},
};

/// The right of one call to be in flight. Dropping it gives it back, to whoever waits first.
///
/// A [`Mode`](crate::Mode) decides how long a call keeps it.
#[must_use = "a permit that is dropped is given back"]
pub struct Permit {
    limiter: Arc<Limiter>,
}

/// A place in the queue. Dropping it gives it up, and gives back the permit that it may have been granted meanwhile.
#[derive(Debug)]
pub(crate) struct Place {
    limiter: Arc<Limiter>,
    /// None once the place is gone.
    key: Option<Key>,
}

/// What a caller holds after it has asked.
#[derive(Debug)]
pub(crate) enum Asked {
    Granted(Permit),
    /// Since when.
    Queued(Place, Instant),
    Refused,
}

/// A place whose turn came, and the answer was no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

// ===== impl Permit =====

impl Permit {
    /// A permit, if there is room now and nobody waits.
    #[inline]
    pub(crate) fn try_from(limiter: &Arc<Limiter>) -> Option<Self> {
        limiter.try_admit().then(|| Self { limiter: Arc::clone(limiter) })
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.limiter
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        self.limiter.release();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

// ===== impl Place =====

impl Place {
    /// Asks for a permit, and for a place in the queue if there is none. The bound of the queue holds only for those
    /// who are `bounded`.
    pub(crate) fn ask(limiter: &Arc<Limiter>, bounded: bool) -> Asked {
        match limiter.enqueue(bounded) {
            Admission::Granted => Asked::Granted(Permit { limiter: Arc::clone(limiter) }),
            Admission::Queued(key, since) => {
                Asked::Queued(Self { limiter: Arc::clone(limiter), key: Some(key) }, since)
            }
            Admission::Refused => Asked::Refused,
        }
    }

    /// Waits for the turn of this place.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<Permit, Refused>> {
        let Some(key) = self.key else {
            return Poll::Ready(Err(Refused));
        };
        self.limiter.poll(key, cx.waker()).map(|verdict| {
            self.key = None;
            self.settle(verdict)
        })
    }

    /// The time to wait is over: the permit, if it was granted at the last moment.
    pub(crate) fn time_out(mut self) -> Option<Permit> {
        match self.limiter.leave(self.key.take()?) {
            None => {
                self.limiter.counters.timed_out.fetch_add(1, Ordering::Relaxed);
                None
            }
            Some(verdict) => self.settle(verdict).ok(),
        }
    }

    fn settle(&self, verdict: Verdict) -> Result<Permit, Refused> {
        match verdict {
            Verdict::Granted => Ok(Permit { limiter: Arc::clone(&self.limiter) }),
            Verdict::Refused => Err(Refused),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else {
            return;
        };
        let counters = &self.limiter.counters;
        match self.limiter.leave(key) {
            None => {
                counters.cancelled_queued.fetch_add(1, Ordering::Relaxed);
            }
            Some(Verdict::Granted) => {
                counters.cancelled_running.fetch_add(1, Ordering::Relaxed);
                self.limiter.release();
            }
            Some(Verdict::Refused) => {}
        }
    }
}
