use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use donjon_budget::{Backoff, Budget, Entropy, Receipt, Withdrawal};

use crate::{NoRetry, RetryEvent};

/// What a service needs: made once by each application of the layer, shared by its clones and their calls.
#[derive(Debug)]
pub(crate) struct Config<P> {
    pub(crate) policy: P,
    pub(crate) settings: Settings,
    pub(crate) state: Arc<State>,
}

pub(crate) type Observer = Arc<dyn Fn(&RetryEvent) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) backoff: Backoff,
    pub(crate) budget: Budget,
    pub(crate) max_retry_after: Duration,
    pub(crate) observer: Option<Observer>,
    pub(crate) bypass: bool,
}

/// What clones of a layer share. Everything here is written only when something has failed.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) max_attempts: AtomicU32,
    pub(crate) entropy: Entropy,
    pub(crate) seed: Option<u64>,
    /// Calls that have failed once and are not over.
    pub(crate) retrying: AtomicU32,
    pub(crate) retries: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) gave_up: [AtomicU64; NoRetry::COUNT],
}

/// A call that has begun to retry: counted while it lives, and holds what it has of the budget.
#[derive(Debug)]
pub(crate) struct Retrying {
    state: Arc<State>,
    /// Of the retry that waits.
    pub(crate) withdrawal: Option<Withdrawal>,
    /// Of the retry that is running.
    pub(crate) receipt: Option<Receipt>,
    pub(crate) previous_wait: Duration,
    /// The attempt after which the waits have begun again.
    pub(crate) restarted: u32,
    completed: bool,
}

// ===== impl Settings =====

impl Settings {
    pub(crate) fn new() -> Self {
        Self {
            backoff: Backoff::default(),
            budget: Budget::new(),
            max_retry_after: Duration::from_secs(60),
            observer: None,
            bypass: false,
        }
    }

    pub(crate) fn tell(&self, event: &RetryEvent) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("backoff", &self.backoff)
            .field("budget", &self.budget)
            .field("max_retry_after", &self.max_retry_after)
            .field("observed", &self.observer.is_some())
            .field("bypass", &self.bypass)
            .finish()
    }
}

// ===== impl State =====

impl State {
    pub(crate) fn new(max_attempts: u32, seed: Option<u64>) -> Self {
        Self {
            max_attempts: AtomicU32::new(max_attempts),
            entropy: seed.map_or_else(Entropy::random, Entropy::seeded),
            seed,
            retrying: AtomicU32::new(0),
            retries: AtomicU64::new(0),
            recovered: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            gave_up: Default::default(),
        }
    }

    pub(crate) fn fresh(&self) -> Self {
        Self::new(self.max_attempts.load(Ordering::Relaxed), self.seed)
    }

    pub(crate) fn count(&self, reason: NoRetry) {
        self.gave_up[reason.index()].fetch_add(1, Ordering::Relaxed);
    }
}

// ===== impl Retrying =====

impl Retrying {
    pub(crate) fn new(state: Arc<State>) -> Self {
        state.retrying.fetch_add(1, Ordering::Relaxed);
        Self { state, withdrawal: None, receipt: None, previous_wait: Duration::ZERO, restarted: 0, completed: false }
    }

    /// The call is over, and was not dropped before.
    pub(crate) fn complete(mut self) {
        self.completed = true;
    }
}

impl Drop for Retrying {
    fn drop(&mut self) {
        self.state.retrying.fetch_sub(1, Ordering::Relaxed);
        if !self.completed {
            self.state.cancelled.fetch_add(1, Ordering::Relaxed);
        }
    }
}
