//! The primitives of the bucket: std's, or loom's in the models of `tests/loom`.
//!
//! The mutex of either kind is taken through [`lock`], which ignores poisoning: whatever runs under it leaves what it
//! guards whole.

#[cfg(all(test, donjon_loom))]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
use std::sync::PoisonError;
#[cfg(not(all(test, donjon_loom)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
