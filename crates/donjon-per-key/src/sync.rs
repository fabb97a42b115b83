//! The primitives of the keys: std's, or loom's in the models of `tests/loom`.
//!
//! The mutex of either kind is taken through [`lock`], which ignores poisoning: whatever panics under it (a comparison
//! of keys) does so before anything has changed.

#[cfg(all(test, donjon_loom))]
pub(crate) use loom::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize},
};
use std::sync::PoisonError;
#[cfg(not(all(test, donjon_loom)))]
pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize},
};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
