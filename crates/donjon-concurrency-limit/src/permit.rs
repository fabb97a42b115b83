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
    kind: Kind,
}

/// An enum, so that the future of a call has no word more than it needs: see the test of its size.
enum Kind {
    Own(Lease),
    /// Others hold it too: the last of them gives it back.
    Shared(Arc<Lease>),
}

/// A permit that is held longer than its call: by a socket that goes on after the handshake, by a task that goes on
/// after the answer. The permit is given back when the call and every clone of this are gone.
///
/// With [`http`](crate::ConcurrencyLimitLayer::http) each request that asks for an upgrade has one in its extensions.
/// Where several limits stand one inside of another, it holds the permits of all of them.
#[derive(Clone, Default)]
#[must_use = "a permit that is dropped is given back"]
pub struct HeldPermit {
    held: Held,
}

#[derive(Clone, Default)]
#[expect(dead_code, reason = "what is held is dropped, and never read")]
enum Held {
    #[default]
    Nothing,
    One(Arc<Lease>),
    Both(Arc<(HeldPermit, HeldPermit)>),
}

/// One admission; gives it back.
struct Lease {
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
        limiter.try_admit().then(|| Self::granted(limiter))
    }

    #[inline]
    fn granted(limiter: &Arc<Limiter>) -> Self {
        Self { kind: Kind::Own(Lease { limiter: Arc::clone(limiter) }) }
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        match &self.kind {
            Kind::Own(lease) => &lease.limiter,
            Kind::Shared(lease) => &lease.limiter,
        }
    }

    /// Shares this permit: it is given back when both values and all clones of the second are gone. Allocates.
    pub fn share(self) -> (Self, HeldPermit) {
        let lease = match self.kind {
            Kind::Own(lease) => Arc::new(lease),
            Kind::Shared(lease) => lease,
        };
        (Self { kind: Kind::Shared(Arc::clone(&lease)) }, HeldPermit { held: Held::One(lease) })
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

// ===== impl HeldPermit =====

impl HeldPermit {
    /// One that holds nothing: what a limit gives that lets everything through.
    pub const fn none() -> Self {
        Self { held: Held::Nothing }
    }

    /// Whether there is a permit in it.
    #[must_use]
    pub const fn is_some(&self) -> bool {
        !matches!(self.held, Held::Nothing)
    }

    /// Holds what both hold.
    pub fn and(self, other: Self) -> Self {
        match (&self.held, &other.held) {
            (_, Held::Nothing) => self,
            (Held::Nothing, _) => other,
            _ => Self { held: Held::Both(Arc::new((self, other))) },
        }
    }
}

impl fmt::Debug for HeldPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldPermit").field("held", &self.is_some()).finish()
    }
}

// ===== impl Lease =====

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        self.limiter.release();
    }
}

// ===== impl Place =====

impl Place {
    /// Asks for a permit, and for a place in the queue if there is none. The bound of the queue holds only for those
    /// who are `bounded`.
    pub(crate) fn ask(limiter: &Arc<Limiter>, bounded: bool) -> Asked {
        match limiter.enqueue(bounded) {
            Admission::Granted => Asked::Granted(Permit::granted(limiter)),
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
            Verdict::Granted => Ok(Permit::granted(&self.limiter)),
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
