use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::Deadline;

/// What holds for the work that is running: until when it may go on, which attempt it is, and how important.
///
/// A scope is ambient, as in Trio: it is set in a thread-local around one call and around each poll of the future that
/// it covers, and put back afterwards, on unwinding too. So any request type has one, it costs no allocation, and a
/// client called inside a server's handler inherits what remains of the request that is being served.
///
/// - **Scopes only shorten.** Inside of two scopes the earlier deadline holds, whichever is the inner one.
/// - **A spawned task does not inherit.** Wrap its future: `tokio::spawn(Scope::current().wrap(future))`.
/// - **A deadline may be fixed lazily**: [`with_timeout`](Self::with_timeout) reads no clock; the first reader of the
///   deadline does, or whoever set it when the work is first pending.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_core::{Deadline, Scope};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let work = async { Deadline::current().remaining() };
/// assert_eq!(Scope::current().wrap(work).await, None, "no deadline here");
///
/// let work = async { Deadline::current().remaining() };
/// let left = Scope::current().with_timeout(Duration::from_secs(5)).wrap(work).await.unwrap();
/// assert!(left <= Duration::from_secs(5));
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    limit: Limit,
    attempt: u32,
    criticality: Criticality,
}

/// Until when, where the instant may still be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Never,
    /// This long from whenever somebody first asks.
    Lazy(Duration),
    At(Instant),
}

/// How important a request is: which of two to serve when both cannot be. The four values are those of the SRE book
/// (chapter 21), and there will be no others; the order is from the least to the most important.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Criticality {
    /// Partial unavailability is expected.
    Sheddable,
    /// Batch work that can be tried again later.
    SheddablePlus,
    /// The default: users notice.
    #[default]
    Critical,
    /// The worst to lose.
    CriticalPlus,
}

pin_project! {
    /// A future that runs inside a [`Scope`]: each of its polls does. Made by [`Scope::wrap`] and [`Deadline::scope`].
    /// A deadline that nobody has asked for is fixed when the future is first pending.
    ///
    /// It sets what the future can read, and ends nothing by itself: ending work at its deadline is the task of
    /// `donjon-timeout`.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Scoped<F> {
        scope: Scope,
        #[pin]
        inner: F,
    }
}

thread_local! {
    static CURRENT: Cell<Scope> = const { Cell::new(Scope::ROOT) };
}

// ===== impl Scope =====

impl Scope {
    const ROOT: Self = Self { limit: Limit::Never, attempt: 1, criticality: Criticality::Critical };

    /// The scope of the work that is running now. Reads no clock.
    ///
    /// A lazy deadline is captured as it is: entered somewhere else, it is fixed there.
    #[must_use]
    #[inline]
    pub fn current() -> Self {
        CURRENT.with(Cell::get)
    }

    /// A scope without a deadline of its own, on the first attempt, of the default criticality. Entered inside another
    /// one it keeps that one's deadline.
    #[must_use]
    pub const fn root() -> Self {
        Self::ROOT
    }

    /// This scope with a deadline that is at most `deadline`.
    #[must_use]
    #[inline]
    pub fn with_deadline(mut self, deadline: Deadline) -> Self {
        if let Some(at) = deadline.instant() {
            self.limit = self.limit.fixed(Instant::now).earlier(at);
        }
        self
    }

    /// This scope with a deadline at most `timeout` away, counted from when it is first asked for. Reads no clock
    /// unless the scope has a deadline already.
    #[must_use]
    #[inline]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.limit = match self.limit {
            Limit::Never => Limit::Lazy(timeout),
            Limit::Lazy(own) => Limit::Lazy(own.min(timeout)),
            Limit::At(own) => Limit::Lazy(timeout).fixed(Instant::now).earlier(own),
        };
        self
    }

    /// This scope on the attempt of this number; the first one is 1.
    #[must_use]
    pub const fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// This scope with this criticality.
    #[must_use]
    pub const fn with_criticality(mut self, criticality: Criticality) -> Self {
        self.criticality = criticality;
        self
    }

    /// This scope without a deadline of its own: entered, it keeps the deadline of wherever it is entered. What a layer
    /// uses that only sets the attempt.
    #[must_use]
    pub const fn without_deadline(mut self) -> Self {
        self.limit = Limit::Never;
        self
    }

    /// Which attempt this is: 1, or what a retry outside has said.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How important the work is.
    #[must_use]
    pub const fn criticality(&self) -> Criticality {
        self.criticality
    }

    /// Whether there is a deadline, fixed or not. Reads no clock.
    #[must_use]
    pub const fn has_deadline(&self) -> bool {
        !matches!(self.limit, Limit::Never)
    }

    /// Whether the deadline has passed, so that no work may start. Reads the clock only if the deadline is fixed; one
    /// that is not has passed only if it leaves no time at all.
    #[must_use]
    #[inline]
    pub fn has_passed(&self) -> bool {
        match self.limit {
            Limit::Never => false,
            Limit::Lazy(timeout) => timeout.is_zero(),
            Limit::At(at) => at <= Instant::now(),
        }
    }

    /// As [`has_passed`](Self::has_passed), by whoever knows what time it is already: reads no clock.
    #[must_use]
    #[inline]
    pub fn has_passed_at(&self, now: Instant) -> bool {
        match self.limit {
            Limit::Never => false,
            Limit::Lazy(timeout) => timeout.is_zero(),
            Limit::At(at) => at <= now,
        }
    }

    /// The deadline of this scope; a lazy one is fixed now.
    #[inline]
    pub fn deadline(&mut self) -> Deadline {
        self.limit = self.limit.fixed(Instant::now);
        match self.limit {
            Limit::At(at) => Deadline::at(at),
            Limit::Never | Limit::Lazy(_) => Deadline::never(),
        }
    }

    /// Runs `f` inside this scope, then puts back the scope that was there, on unwinding too.
    ///
    /// It takes `&mut self` because a lazy deadline that is first read inside stays fixed afterwards.
    #[inline]
    pub fn enter<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let mut outer = CURRENT.with(Cell::get);
        let (limit, merge) = self.merge(&mut outer.limit);
        CURRENT.with(|current| current.set(Self { limit, ..*self }));
        let _restore = Restore { outer, merge, own: self };
        f()
    }

    /// The future runs inside this scope. Wrap it before spawning it, to carry a scope into a task.
    pub const fn wrap<F: Future>(self, future: F) -> Scoped<F> {
        Scoped { scope: self, inner: future }
    }

    /// The limit that holds inside this scope when it is entered inside of `outer`, and whose it is. Where two have to
    /// be compared, both are fixed, at the same instant.
    #[inline]
    fn merge(&mut self, outer: &mut Limit) -> (Limit, Merge) {
        match (self.limit, *outer) {
            (Limit::Never, outer) => (outer, Merge::Outer),
            (own, Limit::Never) => (own, Merge::Own),
            (Limit::At(own), Limit::At(outer)) => (Limit::At(own.min(outer)), Merge::Fixed),
            (own, other) => {
                let now = Instant::now();
                self.limit = own.fixed(|| now);
                *outer = other.fixed(|| now);
                let limit = match *outer {
                    Limit::At(at) => self.limit.earlier(at),
                    Limit::Never | Limit::Lazy(_) => self.limit,
                };
                (limit, Merge::Fixed)
            }
        }
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self::ROOT
    }
}

impl Limit {
    /// No longer lazy. What is further away than an instant can say is never.
    #[inline]
    fn fixed(self, now: impl FnOnce() -> Instant) -> Self {
        match self {
            Self::Lazy(timeout) => now().checked_add(timeout).map_or(Self::Never, Self::At),
            fixed => fixed,
        }
    }

    /// The earlier of a limit that is not lazy, and `at`.
    #[inline]
    fn earlier(self, at: Instant) -> Self {
        match self {
            Self::At(own) => Self::At(own.min(at)),
            Self::Never | Self::Lazy(_) => Self::At(at),
        }
    }
}

impl Deadline {
    /// The deadline of the work that is running now. A lazy one is fixed by this.
    #[inline]
    pub fn current() -> Self {
        CURRENT.with(|current| {
            let mut scope = current.get();
            match scope.limit {
                Limit::Never => Self::never(),
                Limit::At(at) => Self::at(at),
                Limit::Lazy(_) => {
                    let deadline = scope.deadline();
                    current.set(scope);
                    deadline
                }
            }
        })
    }

    /// The future runs with this deadline, and with the attempt and criticality of the work that is running now. Wrap a
    /// future before spawning it, to carry the deadline into a task: `Deadline::current().scope(future)`.
    pub fn scope<F: Future>(self, future: F) -> Scoped<F> {
        Scope::current().without_deadline().with_deadline(self).wrap(future)
    }
}

// ===== impl Restore =====

/// Whose limit was entered, and so where an instant that was fixed inside belongs.
enum Merge {
    /// Only the outer scope has one: what is fixed inside is the outer's.
    Outer,
    /// Only the entered scope has one.
    Own,
    /// Both had one, and both are fixed.
    Fixed,
}

struct Restore<'a> {
    outer: Scope,
    merge: Merge,
    own: &'a mut Scope,
}

impl Drop for Restore<'_> {
    #[inline]
    fn drop(&mut self) {
        CURRENT.with(|current| {
            let mut outer = self.outer;
            match self.merge {
                Merge::Outer => outer.limit = current.get().limit,
                Merge::Own => self.own.limit = current.get().limit,
                Merge::Fixed => {}
            }
            current.set(outer);
        });
    }
}

// ===== impl Scoped =====

impl<F> Scoped<F> {
    /// The scope that the future runs in.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The scope that the future runs in, to read its deadline.
    pub fn scope_mut(self: Pin<&mut Self>) -> &mut Scope {
        self.project().scope
    }

    /// The future inside.
    pub fn into_inner(self) -> F {
        self.inner
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let inner = this.inner;
        let poll = this.scope.enter(|| inner.poll(cx));
        if poll.is_pending() {
            // From here on time passes that a later reader would not see.
            this.scope.limit = this.scope.limit.fixed(Instant::now);
        }
        poll
    }
}
