//! The primitives of a flight: std's, or loom's in the models of `tests/loom`.
//!
//! The mutex of either kind is taken through [`lock`], which ignores poisoning: whatever runs under it leaves the
//! state whole.

#[cfg(all(test, donjon_loom))]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};
use std::sync::PoisonError;
#[cfg(not(all(test, donjon_loom)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
