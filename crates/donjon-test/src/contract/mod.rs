//! The contract of a layer: named checks, one for each law that can be tested.
//!
//! [`check`] makes new layers, puts each over a [probe](crate::Probe) of HTTP requests, and sees what it does; [`check_over`]
//! does the same over other requests, [`check_fresh`] and [`check_fresh_over`] look at [`Fresh`] too. [`Contract`] has
//! the settings. All are synchronous, for a plain `#[test]`: each check has a runtime of its own, with one thread and a
//! paused clock, and a layer that draws no lots gets the same report every time.
//!
//! # How it looks at a layer
//!
//! It assumes nothing of what the layer is for. It may refuse, let wait, give up, answer by itself or call several times;
//! most checks compare it with a new one of its kind: so many calls at once are sent through it while the probe holds all
//! that it gets, and so many of them are admitted, wait, or are refused. After whatever has been done to it before, those
//! three numbers must be the same again.
//!
//! Calls are polled by hand: when the waker of their last poll was woken and only then, and each time with another waker.
//! So a call that somebody forgets to wake stays where it is, without any time passing: no timer hides a lost wake-up.
//!
//! # What to give it
//!
//! - A layer that admits a bounded number with a small bound: fewer, those that wait included, than the [crowd](Contract::crowd).
//!   A place that was lost shows when the layer is full. Once with a queue and once without one.
//! - A stack is a layer too (a tuple of layers, or `ServiceBuilder::into_inner`). Put a queue that holds the whole crowd
//!   inside of a retry: whoever is refused may try again by the retry's own rules, and its budget remembers.
//! - A timeout that is neither zero nor never, so that giving up is seen as well.
//! - An HTTP layer that wraps bodies over [`Streaming`](crate::Streaming) too.
//! - A layer that remembers on purpose for a time with [`Contract::forgets_in`]; one that breaks a law on purpose with
//!   [`Contract::skip`], and the reason.
//!
//! What it cannot see: what depends on two threads (use a model checker such as loom), what it costs, and what the layer
//! is for.

mod call;
mod check;
mod checks;
mod erase;
mod report;
mod rig;

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    time::Duration,
};

use bytes::Bytes;
use donjon_core::{CallError, Fresh};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::runtime::{Builder, Handle};
use tower_layer::Layer;
use tower_service::Service;

use self::erase::{Plain, Recipe, Renewable};
pub use self::{
    check::Check,
    report::{Failure, Report},
};
use crate::{Http, Probe, Read};

/// Checks a layer over HTTP requests, with the settings of [`Contract::new`].
///
/// # Errors
///
/// If a check fails: the report says which.
pub fn check<L, B, F>(make: F) -> Result<(), Report>
where
    F: Fn() -> L,
    L: Layer<Probe> + 'static,
    L::Service: Service<Request<Full<Bytes>>, Response = Response<B>, Error = CallError> + Clone + 'static,
    B: Body + 'static,
{
    Contract::new().check(make)
}

/// Checks a layer that is [`Fresh`] over HTTP requests, with the settings of [`Contract::new`].
///
/// # Errors
///
/// If a check fails: the report says which.
pub fn check_fresh<L, B, F>(make: F) -> Result<(), Report>
where
    F: Fn() -> L,
    L: Layer<Probe> + Fresh + 'static,
    L::Service: Service<Request<Full<Bytes>>, Response = Response<B>, Error = CallError> + Clone + 'static,
    B: Body + 'static,
{
    Contract::new().check_fresh(make)
}

/// Checks a layer over the requests of any [`Exchange`](crate::Exchange), such as [`Number`](crate::Number), with the settings of
/// [`Contract::new`].
///
/// # Errors
///
/// If a check fails: the report says which.
pub fn check_over<X, L, R, F>(exchange: X, make: F) -> Result<(), Report>
where
    X: Read<R>,
    F: Fn() -> L,
    L: Layer<Probe<X>> + 'static,
    L::Service: Service<X::Request, Response = R, Error = CallError> + Clone + 'static,
    R: 'static,
{
    Contract::new().check_over(exchange, make)
}

/// Checks a layer that is [`Fresh`] over the requests of any [`Exchange`](crate::Exchange), with the settings of
/// [`Contract::new`].
///
/// # Errors
///
/// If a check fails: the report says which.
pub fn check_fresh_over<X, L, R, F>(exchange: X, make: F) -> Result<(), Report>
where
    X: Read<R>,
    F: Fn() -> L,
    L: Layer<Probe<X>> + Fresh + 'static,
    L::Service: Service<X::Request, Response = R, Error = CallError> + Clone + 'static,
    R: 'static,
{
    Contract::new().check_fresh_over(exchange, make)
}

/// What varies between layers: how large the crowds are, and which checks a layer is excused from.
///
/// # Example
///
/// ```
/// use donjon_test::contract::{Check, Contract};
/// use tower::limit::GlobalConcurrencyLimitLayer;
///
/// // tower's limit takes its permit in `poll_ready`, so an idle clone starves the others.
/// let report = Contract::new().check(|| GlobalConcurrencyLimitLayer::new(2)).unwrap_err();
/// assert!(report.failed(Check::IdleHoldsNothing));
///
/// Contract::new()
///     .skip(Check::IdleHoldsNothing, "it reserves its place in `poll_ready`")
///     .skip(Check::CompletionGivesBack, "its permit lives as long as the future")
///     .check(|| GlobalConcurrencyLimitLayer::new(2))
///     .unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Contract {
    crowd: usize,
    scripts: u32,
    forgets_in: Duration,
    skipped: Vec<(Check, String)>,
}

/// What a check is given.
struct Env<'a> {
    make: &'a dyn Fn() -> Box<dyn Recipe>,
    contract: &'a Contract,
}

type Checking<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + 'a>>;

// ===== impl Contract =====

impl Contract {
    /// Crowds of 32 calls, 64 scripts, no pause before the layer is looked at again, no check skipped.
    pub fn new() -> Self {
        Self { crowd: 32, scripts: 64, forgets_in: Duration::ZERO, skipped: Vec::new() }
    }

    /// How many calls a crowd has, 32 unless said. A layer that admits a bounded number should be given a bound, its
    /// queue included, that is well under this: a place that was lost is only seen when the layer is full. With 0 or 1
    /// the checks that need a crowd check nothing.
    pub fn crowd(mut self, calls: usize) -> Self {
        self.crowd = calls;
        self
    }

    /// How many scripts the check `any-script` runs, 64 unless said; with 0 it checks nothing.
    pub fn scripts(mut self, scripts: u32) -> Self {
        self.scripts = scripts;
        self
    }

    /// How long after the last call the layer admits again what a new one does; zero unless said. For layers that
    /// remember on purpose for a time, such as a rate limit.
    pub fn forgets_in(mut self, time: Duration) -> Self {
        self.forgets_in = time;
        self
    }

    /// Leaves a check out. The reason is for whoever reads the test: why the law does not hold here, on purpose.
    pub fn skip(mut self, check: Check, reason: impl Into<String>) -> Self {
        self.skipped.push((check, reason.into()));
        self
    }

    /// The checks that are left out, with the reasons given.
    pub fn skipped(&self) -> impl Iterator<Item = (Check, &str)> {
        self.skipped.iter().map(|(check, reason)| (*check, reason.as_str()))
    }

    /// Checks a layer over HTTP requests. Each check makes new layers.
    ///
    /// # Errors
    ///
    /// If a check fails: the report says which.
    ///
    /// # Panics
    ///
    /// Inside a runtime: it runs one of its own, so the test is a plain `#[test]`.
    pub fn check<L, B, F>(&self, make: F) -> Result<(), Report>
    where
        F: Fn() -> L,
        L: Layer<Probe> + 'static,
        L::Service: Service<Request<Full<Bytes>>, Response = Response<B>, Error = CallError> + Clone + 'static,
        B: Body + 'static,
    {
        self.check_over(Http::default(), make)
    }

    /// Checks a layer that is [`Fresh`] over HTTP requests: as [`check`](Self::check), with the checks of
    /// `fresh` and `bypass`.
    ///
    /// # Errors
    ///
    /// If a check fails: the report says which.
    ///
    /// # Panics
    ///
    /// Inside a runtime: it runs one of its own, so the test is a plain `#[test]`.
    pub fn check_fresh<L, B, F>(&self, make: F) -> Result<(), Report>
    where
        F: Fn() -> L,
        L: Layer<Probe> + Fresh + 'static,
        L::Service: Service<Request<Full<Bytes>>, Response = Response<B>, Error = CallError> + Clone + 'static,
        B: Body + 'static,
    {
        self.check_fresh_over(Http::default(), make)
    }

    /// Checks a layer over the requests of any exchange.
    ///
    /// # Errors
    ///
    /// If a check fails: the report says which.
    ///
    /// # Panics
    ///
    /// Inside a runtime: it runs one of its own, so the test is a plain `#[test]`.
    pub fn check_over<X, L, R, F>(&self, exchange: X, make: F) -> Result<(), Report>
    where
        X: Read<R>,
        F: Fn() -> L,
        L: Layer<Probe<X>> + 'static,
        L::Service: Service<X::Request, Response = R, Error = CallError> + Clone + 'static,
        R: 'static,
    {
        self.run(&|| Box::new(Plain::new(exchange.clone(), make())))
    }

    /// Checks a layer that is [`Fresh`] over the requests of any exchange.
    ///
    /// # Errors
    ///
    /// If a check fails: the report says which.
    ///
    /// # Panics
    ///
    /// Inside a runtime: it runs one of its own, so the test is a plain `#[test]`.
    pub fn check_fresh_over<X, L, R, F>(&self, exchange: X, make: F) -> Result<(), Report>
    where
        X: Read<R>,
        F: Fn() -> L,
        L: Layer<Probe<X>> + Fresh + 'static,
        L::Service: Service<X::Request, Response = R, Error = CallError> + Clone + 'static,
        R: 'static,
    {
        self.run(&|| Box::new(Renewable(Plain::new(exchange.clone(), make()))))
    }

    fn run(&self, make: &dyn Fn() -> Box<dyn Recipe>) -> Result<(), Report> {
        assert!(Handle::try_current().is_err(), "the contract runs its own runtime: call it from a plain #[test]");
        let env = Env { make, contract: self };
        let mut failures = Vec::new();
        for &check in Check::all() {
            if self.skips(check) {
                continue;
            }
            let result = catch_unwind(AssertUnwindSafe(|| checks::run(check, &env)));
            let result = result.unwrap_or_else(|payload| Err(format!("it panicked: {}", message(&*payload))));
            if let Err(reason) = result {
                failures.push(Failure::new(check, reason));
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(Report::new(failures)) }
    }

    fn skips(&self, check: Check) -> bool {
        self.skipped.iter().any(|(skipped, _)| *skipped == check)
    }
}

impl Default for Contract {
    fn default() -> Self {
        Self::new()
    }
}

// ===== impl Env =====

impl Env<'_> {
    /// A new layer over a new probe.
    fn rig(&self) -> rig::Rig {
        rig::Rig::new((self.make)())
    }

    /// The same, where nothing is ever pending in a message.
    fn prompt_rig(&self) -> rig::Rig {
        let mut recipe = (self.make)();
        recipe.be_prompt();
        rig::Rig::new(recipe)
    }
}

/// Runs a check on a runtime of its own, whose clock is paused.
fn paused(check: Checking<'_>) -> Result<(), String> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| format!("no runtime could be made: {error}"))?;
    // Without the budget that tokio gives a task: the calls are many tasks, driven by hand in one.
    runtime.block_on(tokio::task::unconstrained(check))
}

/// Runs a check on a runtime that has no timers, so that making one panics.
fn timeless(check: Checking<'_>) -> Result<(), String> {
    let runtime =
        Builder::new_current_thread().build().map_err(|error| format!("no runtime could be made: {error}"))?;
    runtime.block_on(tokio::task::unconstrained(check))
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
