use std::{
    sync::{Arc, OnceLock},
    task::{Wake, Waker},
};

use donjon_core::Rejection;

use crate::{
    means::Lack,
    state::{Own, State},
    sync::{AtomicBool, Mutex, Ordering::Relaxed, lock},
};

/// One call, and all who wait for it. It is itself the waker that the running call gets: whoever drives, the call always
/// knows whom to wake.
pub(crate) struct Flight<K, V, E> {
    key: K,
    hash: u64,
    /// Somebody has joined. Written under the lock of the map, by which nobody joins any more once it is retired.
    joined: AtomicBool,
    pub(crate) state: Mutex<State<V, E>>,
    /// Set before the state says that the call has ended, and read without its lock.
    pub(crate) end: OnceLock<End<V>>,
}

/// How a call has ended, for all but its driver.
pub(crate) enum End<V> {
    Answer(V),
    /// The answer is for one alone.
    Alone,
    /// It failed; and for want of what, if others may have more of that.
    Failure(Box<(Rejection, Option<Lack>)>),
    /// Nothing has come of it.
    Nothing,
}

// ===== impl Flight =====

impl<K, V, E> Flight<K, V, E> {
    pub(crate) fn new(key: K, hash: u64) -> Self {
        let state = Mutex::new(State::new());
        Self { key, hash, joined: AtomicBool::new(false), state, end: OnceLock::new() }
    }

    /// A place among the followers, if there is one: the ticket. For a flight that was found in the map, under its lock:
    /// it is retired from there before it ends, so whoever sits down is told of the end.
    pub(crate) fn sit(&self, max_followers: usize) -> Option<u64> {
        let mut state = lock(&self.state);
        if state.followers() >= max_followers {
            return None;
        }
        self.joined.store(true, Relaxed);
        Some(state.sit())
    }

    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether nobody has ever joined, and nobody will. For a flight that was retired.
    pub(crate) fn is_lonely(&self) -> bool {
        !self.joined.load(Relaxed)
    }

    /// The call has to be polled.
    fn notify(&self) {
        let wakers = lock(&self.state).wake();
        wake(wakers.into_iter().flatten());
    }

    /// Ends the flight, which was retired, and gives the end back if it is this one's own.
    pub(crate) fn land(&self, ticket: u64, end: End<V>, own: Own<V, E>) -> Option<Own<V, E>> {
        // The one that polls the call is the only one that ends it.
        let _ = self.end.set(end);
        let (own, driver, followers) = lock(&self.state).end(ticket, own);
        wake(driver);
        wake(followers);
        own
    }
}

impl<K, V, E> Flight<K, V, E>
where
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    E: Send + 'static,
{
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

impl<K, V, E> Wake for Flight<K, V, E>
where
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    E: Send + 'static,
{
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

/// Wakers run foreign code, so they run without the lock.
pub(crate) fn wake(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}
