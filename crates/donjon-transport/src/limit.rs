//! The bound on connections per origin: fair semaphores for each origin that has connections or waiters.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::origin::Origin;

/// Hands out the places of all origins.
#[derive(Debug)]
pub(crate) struct Limit {
    per_origin: usize,
    open: AtomicUsize,
    origins: Mutex<HashMap<Origin, Arc<Gates>>>,
}

/// What the connections to one origin pass through.
#[derive(Debug)]
struct Gates {
    /// As many permits as there may be connections.
    places: Arc<Semaphore>,
    /// One permit, for connections that all will share: whoever has it opens the next one.
    turn: Arc<Semaphore>,
}

/// The place of one connection, held from before it is opened until it is closed.
#[derive(Debug)]
pub(crate) struct Place {
    // Given back before the lease looks whether anybody else is there.
    _permit: OwnedSemaphorePermit,
    lease: Lease,
}

/// The right to open the next connection to an origin.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    _lease: Lease,
}

/// Keeps the gates of an origin in the table.
#[derive(Debug)]
struct Lease {
    limit: Arc<Limit>,
    origin: Origin,
    gates: Option<Arc<Gates>>,
}

// ===== impl Limit =====

impl Limit {
    pub(crate) fn new(per_origin: usize) -> Self {
        Self {
            per_origin: per_origin.min(Semaphore::MAX_PERMITS),
            open: AtomicUsize::new(0),
            origins: Mutex::new(HashMap::new()),
        }
    }

    pub(crate) fn per_origin(&self) -> usize {
        self.per_origin
    }

    /// How many places are taken, over all origins.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A place, at once or when it is this one's turn: first come, first served. Dropping the future leaves the queue.
    pub(crate) fn place(self: &Arc<Self>, origin: &Origin) -> impl Future<Output = Place> + Send + use<> {
        let lease = self.lease(origin);
        async move {
            let permit = take(&lease.gates().places).await;
            lease.limit.open.fetch_add(1, Ordering::Relaxed);
            Place { _permit: permit, lease }
        }
    }

    /// The right to open the next connection, first come, first served. Dropping the future leaves the queue.
    pub(crate) fn turn(self: &Arc<Self>, origin: &Origin) -> impl Future<Output = Turn> + Send + use<> {
        let lease = self.lease(origin);
        async move { Turn { _permit: take(&lease.gates().turn).await, _lease: lease } }
    }

    fn lease(self: &Arc<Self>, origin: &Origin) -> Lease {
        let mut origins = self.origins();
        let gates = match origins.get(origin) {
            Some(gates) => Arc::clone(gates),
            None => {
                let places = Arc::new(Semaphore::new(self.per_origin));
                let gates = Arc::new(Gates { places, turn: Arc::new(Semaphore::new(1)) });
                origins.insert(origin.clone(), Arc::clone(&gates));
                gates
            }
        };
        Lease { limit: Arc::clone(self), origin: origin.clone(), gates: Some(gates) }
    }

    fn origins(&self) -> MutexGuard<'_, HashMap<Origin, Arc<Gates>>> {
        // Nothing inside the lock can leave the table half-changed.
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(semaphore).acquire_owned().await.expect("the semaphore is never closed")
}

// ===== impl Place =====

impl Drop for Place {
    fn drop(&mut self) {
        self.lease.limit.open.fetch_sub(1, Ordering::Relaxed);
    }
}

// ===== impl Lease =====

impl Lease {
    fn gates(&self) -> &Gates {
        self.gates.as_ref().expect("a lease has its gates until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut origins = self.limit.origins();
        // Gates are only ever taken out of the table under its lock, so a count of one is the table's own.
        self.gates = None;
        if origins.get(&self.origin).is_some_and(|gates| Arc::strong_count(gates) == 1) {
            origins.remove(&self.origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(uri: &str) -> Origin {
        Origin::of(&uri.parse().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn origins_have_a_bound_each_and_leave_the_table_when_unused() {
        let limit = Arc::new(Limit::new(1));
        let a = limit.place(&origin("http://a")).await;
        let b = limit.place(&origin("http://b")).await;
        assert_eq!((limit.open(), limit.origins().len()), (2, 2));

        let mut waiting = tokio_test::task::spawn(limit.place(&origin("http://a")));
        let mut cancelled = tokio_test::task::spawn(limit.place(&origin("http://a")));
        let mut last = tokio_test::task::spawn(limit.place(&origin("http://a")));
        assert!(waiting.poll().is_pending());
        assert!(cancelled.poll().is_pending());
        assert!(last.poll().is_pending());
        drop((b, cancelled));
        assert_eq!((limit.open(), limit.origins().len()), (1, 1));

        drop(a);
        assert!(waiting.is_woken() && !last.is_woken(), "first come, first served");
        drop(waiting);
        assert!(last.is_woken(), "a place that was given to a waiter that left goes on");
        drop(last.await);
        assert_eq!((limit.open(), limit.origins().len()), (0, 0));
    }

    #[tokio::test]
    async fn a_waiter_that_never_ran_leaves_the_table() {
        let limit = Arc::new(Limit::new(1));
        drop(limit.place(&origin("http://a")));
        assert_eq!(limit.origins().len(), 0);
    }
}
