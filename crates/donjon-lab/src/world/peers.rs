//! What other crates have, behind the interface that the scenes use.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use donjon_budget::{Backoff, Step};
use donjon_core::CallError;
use tower::{
    retry::{
        Policy,
        backoff::{Backoff as _, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff},
        budget::Budget,
    },
    util::rng::Rng,
};

use crate::world::Ask;

/// tower's exponential waits, from `least` to `most`, with as much jitter as it has.
#[must_use]
pub fn tower_backoff(least: Duration, most: Duration) -> ExponentialBackoff<ThreadRng> {
    let maker = ExponentialBackoffMaker::new(least.min(most), most, 1.0, ThreadRng);
    maker.expect("the longest wait is not 0").make_backoff()
}

/// When a call pays into its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deposit {
    /// When it has been made, whatever comes of it (Finagle, the SRE book).
    Call,
    /// When it has succeeded (tower).
    Success,
}

/// A policy for tower's own retry: so many attempts, a budget, and full jitter from 50 ms to 20 s.
///
/// A policy of tower's is what its user writes; this one is as its documentation has it.
#[derive(Clone)]
pub struct TowerRetry {
    budget: Option<Arc<dyn Budget + Send + Sync>>,
    deposit: Deposit,
    most: u32,
    attempt: u32,
    wait: Wait,
}

/// Who says how long to wait.
#[derive(Clone)]
enum Wait {
    Donjon(Backoff),
    Tower(ExponentialBackoff<ThreadRng>),
}

/// The thread's generator, which the scene has seeded. A clone goes on with the same numbers, as tower asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadRng;

// ===== impl TowerRetry =====

impl TowerRetry {
    /// At most so many attempts, within this budget.
    pub fn new(attempts: u32, budget: impl Budget + Send + Sync + 'static, deposit: Deposit) -> Self {
        let wait = Wait::Donjon(Backoff::default());
        Self { budget: Some(Arc::new(budget)), deposit, most: attempts, attempt: 1, wait }
    }

    /// Until it succeeds.
    #[must_use]
    pub fn unlimited() -> Self {
        let wait = Wait::Donjon(Backoff::default());
        Self { budget: None, deposit: Deposit::Success, most: u32::MAX, attempt: 1, wait }
    }

    /// Waits as tower has it.
    #[must_use]
    pub fn tower_backoff(mut self, backoff: ExponentialBackoff<ThreadRng>) -> Self {
        self.wait = Wait::Tower(backoff);
        self
    }
}

impl<Res> Policy<Ask, Res, CallError> for TowerRetry {
    type Future = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn retry(&mut self, _: &mut Ask, result: &mut Result<Res, CallError>) -> Option<Self::Future> {
        let pays = match self.deposit {
            Deposit::Call => self.attempt == 1,
            Deposit::Success => result.is_ok(),
        };
        if let Some(budget) = &self.budget
            && pays
        {
            budget.deposit();
        }
        if result.is_ok() || self.attempt >= self.most || !self.budget.as_ref().is_none_or(|it| it.withdraw()) {
            return None;
        }
        let wait: Self::Future = match &mut self.wait {
            Wait::Donjon(backoff) => {
                Box::pin(tokio::time::sleep(backoff.delay(&Step::new(self.attempt), fastrand::u64(..))))
            }
            Wait::Tower(backoff) => Box::pin(backoff.next_backoff()),
        };
        self.attempt += 1;
        Some(wait)
    }

    fn clone_request(&mut self, ask: &Ask) -> Option<Ask> {
        Some(ask.clone())
    }
}

impl fmt::Debug for TowerRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerRetry").field("deposit", &self.deposit).field("most", &self.most).finish_non_exhaustive()
    }
}

// ===== impl ThreadRng =====

impl Rng for ThreadRng {
    fn next_u64(&mut self) -> u64 {
        fastrand::u64(..)
    }
}
