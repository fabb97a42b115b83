//! The bound on connections per origin: one fair semaphore for each origin that has connections or waiters.

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
    origins: Mutex<HashMap<Origin, Arc<Semaphore>>>,
}

/// The place of one connection, held from before it is opened until it is closed.
#[derive(Debug)]
pub(crate) struct Place {
    // Given back before the lease looks whether anybody else is there.
    _permit: OwnedSemaphorePermit,
    lease: Lease,
}

/// Keeps the semaphore of an origin in the table.
#[derive(Debug)]
struct Lease {
    limit: Arc<Limit>,
    origin: Origin,
    semaphore: Option<Arc<Semaphore>>,
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
    pub(crate) fn acquire(self: &Arc<Self>, origin: Origin) -> impl Future<Output = Place> + Send + 'static {
        let lease = self.lease(origin);
        async move {
            let semaphore = lease.semaphore.clone().expect("a lease has its semaphore until it is dropped");
            let permit = semaphore.acquire_owned().await.expect("the semaphore is never closed");
            lease.limit.open.fetch_add(1, Ordering::Relaxed);
            Place { _permit: permit, lease }
        }
    }

    fn lease(self: &Arc<Self>, origin: Origin) -> Lease {
        let semaphore = {
            let mut origins = self.origins();
            let semaphore = origins.entry(origin.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.per_origin)));
            Arc::clone(semaphore)
        };
        Lease { limit: Arc::clone(self), origin, semaphore: Some(semaphore) }
    }

    fn origins(&self) -> MutexGuard<'_, HashMap<Origin, Arc<Semaphore>>> {
        // Nothing inside the lock can leave the table half-changed.
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// ===== impl Place =====

impl Drop for Place {
    fn drop(&mut self) {
        self.lease.limit.open.fetch_sub(1, Ordering::Relaxed);
    }
}

// ===== impl Lease =====

impl Drop for Lease {
    fn drop(&mut self) {
        let mut origins = self.limit.origins();
        // Semaphores are only ever taken out of the table under its lock, so a count of one is the table's own.
        self.semaphore = None;
        if origins.get(&self.origin).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
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
        let a = limit.acquire(origin("http://a")).await;
        let b = limit.acquire(origin("http://b")).await;
        assert_eq!((limit.open(), limit.origins().len()), (2, 2));

        let mut waiting = tokio_test::task::spawn(limit.acquire(origin("http://a")));
        let mut cancelled = tokio_test::task::spawn(limit.acquire(origin("http://a")));
        let mut last = tokio_test::task::spawn(limit.acquire(origin("http://a")));
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
        drop(limit.acquire(origin("http://a")));
        assert_eq!(limit.origins().len(), 0);
    }
}
