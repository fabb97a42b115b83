use std::sync::{Arc, atomic::Ordering};

use donjon_budget::Budget;
use donjon_core::{OutOfRange, state_changed};

use crate::{NoRetry, state::State};

/// The operator's end of a [`RetryLayer`](crate::RetryLayer): what it has done, and the knob that turns while it runs.
#[derive(Clone, Debug)]
pub struct RetryHandle {
    state: Arc<State>,
    budget: Budget,
}

/// What a retry layer has done. A call that succeeds at its first attempt is not counted: it writes nothing shared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryStats {
    /// Attempts beyond the first that were sent.
    pub retries: u64,
    /// Calls that succeeded with a retry.
    pub recovered: u64,
    /// Calls that were dropped between their first failure and their end.
    pub cancelled: u64,
    /// Calls that now wait for a retry or are in one.
    pub retrying: u32,
    gave_up: [u64; NoRetry::COUNT],
}

// ===== impl RetryHandle =====

impl RetryHandle {
    pub(crate) fn new(state: Arc<State>, budget: Budget) -> Self {
        Self { state, budget }
    }

    /// The figures, read one after the other.
    #[must_use]
    pub fn stats(&self) -> RetryStats {
        let state = &*self.state;
        RetryStats {
            retries: state.retries.load(Ordering::Relaxed),
            recovered: state.recovered.load(Ordering::Relaxed),
            cancelled: state.cancelled.load(Ordering::Relaxed),
            retrying: state.retrying.load(Ordering::Relaxed),
            gave_up: std::array::from_fn(|reason| state.gave_up[reason].load(Ordering::Relaxed)),
        }
    }

    /// The budget that the layer draws on; its `stats` say what is left.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Attempts in all, from the next call on; 0 and 1 both switch retries off.
    ///
    /// # Errors
    ///
    /// None today: each number means something.
    pub fn set_max_attempts(&self, attempts: u32) -> Result<(), OutOfRange> {
        self.state.max_attempts.store(attempts, Ordering::Relaxed);
        state_changed("retry", "max_attempts", attempts);
        Ok(())
    }
}

// ===== impl RetryStats =====

impl RetryStats {
    /// How many calls ended as failures for this reason ([`NoRetry::NotReplayable`] whatever its phrase).
    #[must_use]
    pub fn gave_up(&self, reason: NoRetry) -> u64 {
        self.gave_up[reason.index()]
    }

    /// How many calls ended as failures.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.gave_up.iter().sum()
    }
}
