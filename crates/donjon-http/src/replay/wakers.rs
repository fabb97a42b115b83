use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
};

/// Who waits for the source, by reader: at most one waker each.
///
/// It is itself the waker that the source gets, so that whichever reader polled last, all that wait are woken: the
/// reader that polled may be dropped, or stay idle because its peer does not take more bytes.
#[derive(Debug, Default)]
pub(super) struct Wakers(Mutex<Vec<(u64, Waker)>>);

impl Wakers {
    /// The reader waits with this waker, in place of the one it had.
    pub(super) fn register(&self, reader: u64, waker: &Waker) {
        let mut waiting = self.lock();
        match waiting.iter_mut().find(|(id, _)| *id == reader) {
            Some((_, known)) => known.clone_from(waker),
            None => waiting.push((reader, waker.clone())),
        }
    }

    /// The reader waits no more.
    pub(super) fn remove(&self, reader: u64) {
        let removed = {
            let mut waiting = self.lock();
            waiting.iter().position(|(id, _)| *id == reader).map(|at| waiting.swap_remove(at))
        };
        // Outside of the lock: dropping a waker can run foreign code.
        drop(removed);
    }

    /// Wakes all that wait.
    pub(super) fn wake_all(&self) {
        let waiting = std::mem::take(&mut *self.lock());
        wake(waiting);
    }

    /// Wakes all that wait but this one.
    pub(super) fn wake_others(&self, reader: u64) {
        let others = self.lock().extract_if(.., |(id, _)| *id != reader).collect();
        wake(others);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Waker)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes them all, though one of them panics.
fn wake(waiting: Vec<(u64, Waker)>) {
    let mut panicked = None;
    for (_, waker) in waiting {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            panicked.get_or_insert(panic);
        }
    }
    if let Some(panic) = panicked {
        resume_unwind(panic);
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}
