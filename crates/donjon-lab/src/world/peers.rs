//! What other crates have, behind the interface that the scenes use.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use donjon_budget::{Backoff, Step};
use donjon_core::CallError;
use tower::retry::{Policy, budget::Budget};

use crate::world::Ask;

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
    budget: Arc<dyn Budget + Send + Sync>,
    deposit: Deposit,
    most: u32,
    attempt: u32,
    backoff: Backoff,
}

// ===== impl TowerRetry =====

impl TowerRetry {
    /// At most so many attempts, within this budget.
    pub fn new(attempts: u32, budget: impl Budget + Send + Sync + 'static, deposit: Deposit) -> Self {
        Self { budget: Arc::new(budget), deposit, most: attempts, attempt: 1, backoff: Backoff::default() }
    }

    /// Another wait between attempts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
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
        if pays {
            self.budget.deposit();
        }
        if result.is_ok() || self.attempt >= self.most || !self.budget.withdraw() {
            return None;
        }
        let wait: Duration = self.backoff.delay(&Step::new(self.attempt), fastrand::u64(..));
        self.attempt += 1;
        Some(Box::pin(tokio::time::sleep(wait)))
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
