use std::{
    fmt, mem,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use donjon_budget::{Cost, Step};
use donjon_core::{Deadline, Outcome, Reject, Rejection, RejectionKind, Scope};
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    NoRetry, Plan, Policy, RetryEvent, RetryInfo, RetryReport,
    state::{Config, Retrying},
};

/// The bookkeeping of one call: everything but its pinned future.
pub(crate) struct Call<P, S, Req> {
    config: Arc<Config<P>>,
    again: Again<S, Req>,
    /// Of the attempt that is running, or was the last to run.
    attempt: u32,
    max_attempts: u32,
    idempotent: bool,
    report: Option<RetryReport>,
    /// Whether the attempt that is running has a scope of its own: where the ambient one is right as it is, it has none.
    scoped: bool,
    /// When the attempt began, if the backoff wants to know.
    started: Option<Instant>,
    /// There is none until the first attempt has failed; it is boxed so that a call that succeeds does not carry it.
    retrying: Option<Box<Retrying>>,
}

/// What a further attempt is made with.
pub(crate) enum Again<S, Req> {
    With { service: S, kept: Req },
    No(NoRetry),
}

/// What follows an attempt.
pub(crate) enum Next<Res, Err> {
    Return(Result<Res, Err>),
    Retry { failed: Result<Res, Err>, wait: Duration },
}

// ===== impl Call =====

impl<P, S, Req> Call<P, S, Req> {
    #[inline]
    pub(crate) fn new(
        config: Arc<Config<P>>,
        plan: Plan,
        max_attempts: u32,
        again: Again<S, Req>,
        scoped: bool,
        started: Option<Instant>,
    ) -> Self {
        let Plan { idempotent, report, .. } = plan;
        Self { config, again, attempt: 1, max_attempts, idempotent, report, scoped, started, retrying: None }
    }

    /// A call that is not looked at.
    pub(crate) fn bypass(config: Arc<Config<P>>) -> Self {
        Self::new(config, Plan::new(), 1, Again::No(NoRetry::Disabled), false, None)
    }

    pub(crate) fn policy(&self) -> &P {
        &self.config.policy
    }

    /// Runs a step of the attempt in its scope.
    #[inline]
    pub(crate) fn enter<R>(&self, step: impl FnOnce() -> R) -> R {
        if self.scoped { enter_attempt(self.attempt, step) } else { step() }
    }

    /// The call is over: what it holds is given back now, even if the future stays alive.
    #[inline]
    pub(crate) fn release(&mut self) {
        self.again = Again::No(NoRetry::AttemptsExhausted);
        if let Some(retrying) = self.retrying.take() {
            retrying.complete();
        }
    }

    fn info(&self, reason: Option<NoRetry>) -> RetryInfo {
        RetryInfo { attempts: self.attempt, reason }
    }
}

impl<P, S, Req> Call<P, S, Req>
where
    S: Service<Req>,
    S::Error: Reject,
    P: Policy<Req, S::Response, S::Error>,
{
    /// An attempt has ended: what now?
    #[inline]
    pub(crate) fn judge(&mut self, mut result: Result<S::Response, S::Error>) -> Next<S::Response, S::Error> {
        let Config { policy, settings, .. } = &*self.config;
        if settings.bypass {
            return Next::Return(result);
        }
        let outcome = policy.classify(result.as_ref());
        if !outcome.is_success() {
            return self.failed(result, outcome);
        }
        if self.attempt == 1 {
            settings.budget.deposit();
            if let Some(report) = &self.report {
                report.set(self.info(None));
            }
        } else {
            self.recovered(&mut result);
        }
        Next::Return(result)
    }

    /// Ends the call with an error between two attempts.
    pub(crate) fn abandon(&mut self, error: S::Error, reason: NoRetry) -> Result<S::Response, S::Error> {
        let outcome = self.config.policy.classify(Err(&error));
        let mut result = Err(error);
        self.give_up(&mut result, outcome, reason);
        result
    }

    /// Readies the clone that makes the next attempt.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let Again::With { service, .. } = &mut self.again else {
            unreachable!("a wait begins only if there is something to call again with");
        };
        enter_attempt(self.attempt.saturating_add(1), || service.poll_ready(cx))
    }

    /// Makes the next attempt, with the service that was just readied.
    pub(crate) fn send(&mut self) -> S::Future {
        let Again::With { mut service, kept } = mem::replace(&mut self.again, Again::No(NoRetry::AttemptsExhausted))
        else {
            unreachable!("a wait begins only if there is something to call again with");
        };
        let Config { policy, settings, state } = &*self.config;

        self.attempt = self.attempt.saturating_add(1);
        // The last attempt sends what was kept; the others a copy of it.
        let (mut req, kept) = if self.attempt < self.max_attempts {
            match policy.replay(&kept) {
                Ok(copy) => (copy, Ok(kept)),
                Err(why) => (kept, Err(NoRetry::NotReplayable(why.0))),
            }
        } else {
            (kept, Err(NoRetry::AttemptsExhausted))
        };
        policy.prepare(&mut req, self.attempt);

        if let Some(retrying) = &mut self.retrying {
            retrying.receipt = retrying.withdrawal.take().map(|withdrawal| withdrawal.spend());
        }
        state.retries.fetch_add(1, Ordering::Relaxed);
        self.started = settings.backoff.needs_rtt().then(Instant::now);
        self.scoped = true;
        let attempt = enter_attempt(self.attempt, || service.call(req));
        self.again = match kept {
            Ok(kept) => Again::With { service, kept },
            Err(reason) => Again::No(reason),
        };
        attempt
    }

    /// Whether a call that failed so is sent again, and after how long. A yes has paid for it.
    fn consider(&mut self, outcome: Outcome, rejection: Option<RejectionKind>) -> Result<Duration, NoRetry> {
        let Config { settings, state, .. } = &*self.config;
        let cost = match (outcome, rejection) {
            (Outcome::Success | Outcome::Permanent | Outcome::Cancelled, _) => return Err(NoRetry::NotRetryable),
            (Outcome::Throttled { .. }, _) => Cost::Throttled,
            (_, Some(RejectionKind::AttemptTimeout)) => Cost::Timeout,
            _ => Cost::Failure,
        };
        let hinted = settings.backoff.restarts_after_hint() && outcome.retry_after().is_some();
        let wait = self.wait(outcome, rejection, cost).inspect_err(|_| {
            // What a layer of ours refused is no failure of the service.
            if !matches!(outcome, Outcome::Refused { .. }) {
                settings.budget.record_failure(cost);
            }
        })?;
        let withdrawal = settings.budget.withdraw(cost).ok_or(NoRetry::BudgetExhausted)?;

        let retrying = self.retrying.get_or_insert_with(|| Box::new(Retrying::new(Arc::clone(state))));
        retrying.withdrawal = Some(withdrawal);
        retrying.receipt = None;
        retrying.previous_wait = wait;
        if hinted {
            retrying.restarted = self.attempt;
        }
        settings.tell(&RetryEvent::Retrying { attempt: self.attempt, outcome, wait });
        Ok(wait)
    }

    /// How long to wait before this call is sent again, if only the budget can still forbid it.
    fn wait(&self, outcome: Outcome, rejection: Option<RejectionKind>, cost: Cost) -> Result<Duration, NoRetry> {
        let Config { policy, settings, state } = &*self.config;
        let deadline = Deadline::current();
        // Somebody who knows the same deadline found it too close: another try would only hear the same.
        if rejection == Some(RejectionKind::DeadlineExceeded) && outcome.is_unsent() && !deadline.is_never() {
            return Err(NoRetry::DeadlineTooClose);
        }
        if self.max_attempts <= 1 {
            return Err(NoRetry::Disabled);
        }
        if !self.idempotent && !outcome.is_unsent() {
            return Err(NoRetry::NotIdempotent);
        }
        // Never: whatever the backoff makes of other hints.
        if outcome.retry_after() == Some(Duration::MAX) {
            return Err(NoRetry::WaitTooLong);
        }
        match &self.again {
            Again::With { kept, .. } => policy.check(kept).map_err(|why| NoRetry::NotReplayable(why.0))?,
            Again::No(reason) => return Err(*reason),
        }

        let others = state.retrying.load(Ordering::Relaxed).saturating_add(u32::from(self.retrying.is_none()));
        let restarted = self.retrying.as_ref().map_or(0, |retrying| retrying.restarted);
        let step = Step::new(self.attempt.saturating_sub(restarted))
            .previous(self.retrying.as_ref().map_or(Duration::ZERO, |retrying| retrying.previous_wait))
            .rtt(self.started.map_or(Duration::ZERO, |started| started.elapsed()))
            .retrying(others)
            .throttled(cost == Cost::Throttled)
            .hint(outcome.retry_after());
        let mut wait = settings.backoff.delay(&step, state.entropy.next_u64());
        let asked = settings.backoff.at_least(&step);
        if let Some(left) = deadline.remaining()
            && wait >= left
        {
            // What was asked for is kept to the whole; the jitter on top of it gives way.
            if asked.is_zero() || asked >= left {
                return Err(NoRetry::DeadlineTooClose);
            }
            wait = asked;
        }
        if asked > settings.max_retry_after {
            return Err(NoRetry::WaitTooLong);
        }
        Ok(wait)
    }

    #[cold]
    fn failed(&mut self, mut result: Result<S::Response, S::Error>, outcome: Outcome) -> Next<S::Response, S::Error> {
        let rejection = result.as_ref().err().and_then(Reject::as_rejection);
        // A circuit is open so that nobody waits for what is down. Who waited for it all the same would hold tokens that
        // others of the same budget need, and all of them would come back at once when it lets the first one in. That holds
        // for those too who had joined the call that was refused.
        let is_open = rejection.is_some_and(|rejection| rejection.origin() == RejectionKind::CircuitOpen);
        let rejection = rejection.map(Rejection::kind);
        match if is_open { Err(NoRetry::NotRetryable) } else { self.consider(outcome, rejection) } {
            Ok(wait) => Next::Retry { failed: result, wait },
            Err(reason) => {
                self.give_up(&mut result, outcome, reason);
                Next::Return(result)
            }
        }
    }

    #[cold]
    fn recovered(&mut self, result: &mut Result<S::Response, S::Error>) {
        let Config { policy, settings, state } = &*self.config;
        let info = self.info(None);
        state.recovered.fetch_add(1, Ordering::Relaxed);
        if let Some(receipt) = self.retrying.as_mut().and_then(|retrying| retrying.receipt.take()) {
            receipt.succeeded();
        }
        settings.tell(&RetryEvent::Recovered { attempts: self.attempt });
        policy.attach(result, info);
        if let Some(report) = &self.report {
            report.set(info);
        }
    }

    fn give_up(&mut self, result: &mut Result<S::Response, S::Error>, outcome: Outcome, reason: NoRetry) {
        let Config { policy, settings, state } = &*self.config;
        let info = self.info(Some(reason));
        state.count(reason);
        settings.tell(&RetryEvent::GaveUp { attempts: self.attempt, outcome, reason });
        policy.attach(result, info);
        if let Some(report) = &self.report {
            report.set(info);
        }
    }
}

/// The ambient scope, on the attempt of this number.
fn enter_attempt<R>(attempt: u32, step: impl FnOnce() -> R) -> R {
    Scope::current().without_deadline().with_attempt(attempt).enter(step)
}

impl<P, S, Req> fmt::Debug for Call<P, S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("attempt", &self.attempt)
            .field("max_attempts", &self.max_attempts)
            .field("idempotent", &self.idempotent)
            .field("retrying", &self.retrying)
            .finish_non_exhaustive()
    }
}
