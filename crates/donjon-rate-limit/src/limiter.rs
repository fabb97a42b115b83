use std::{future::Future, time::Duration};

use donjon_core::{Answer, Deadline};
use tokio::time::Instant;

/// Who decides whether a call may go on now, later, or not at all.
///
/// [`LocalLimiter`](crate::LocalLimiter) decides in the process, at once. A limiter that many machines share asks
/// another one and answers [`Later`](Answer::Later); the layer is the same. What to do when it cannot ask is for the
/// limiter to say, by its verdict.
///
/// A limiter is shared by reference, and its clones are the same limiter.
///
/// # Cancellation
///
/// An answer that is to come later may be dropped; what was asked for may then be taken or not. A [`Turn`] that is
/// dropped before it was taken gives back what it can.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not limit a rate",
    label = "not a limiter",
    note = "`LocalLimiter` is one in the process; for one on another machine, implement `Limiter`"
)]
pub trait Limiter {
    /// A place among those who wait.
    type Turn: Turn;

    /// A verdict that comes later. [`Never`](donjon_core::Never) in the process.
    type Later: Future<Output = Verdict<Self::Turn>>;

    /// Whether a call may go on.
    fn acquire(&self, ask: Ask) -> Answer<Self::Later>;
}

/// A call that will have its turn at a known time. Dropped before it was taken, it gives its place back.
pub trait Turn {
    /// When its turn is.
    fn at(&self) -> Instant;

    /// The call goes on now; nothing is given back any more. `None` if it may not after all: the rate has become 0
    /// since.
    fn take(self) -> Option<Standing>;
}

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    now: Instant,
    cost: u64,
    max_wait: Duration,
}

/// What a limiter says.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<T> {
    /// The call may go on now.
    Admitted(Standing),
    /// It may go on at its turn, which comes within the patience of the [`Ask`].
    Wait(T),
    /// It may not.
    Refused {
        /// After how long a call of this cost would be admitted, if nobody else came: `None` if never.
        retry_after: Option<Duration>,
        /// How the limit stands, if there is one.
        standing: Option<Standing>,
    },
}

/// How a limit stands after a verdict: what the fields `RateLimit` and `RateLimit-Policy` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The most tokens that there can be.
    pub burst: u64,
    /// How long it takes from none to all of them.
    pub window: Duration,
    /// How many there are now.
    pub remaining: u64,
    /// How long it takes from now until there are all of them, if nobody comes.
    pub reset: Duration,
}

// ===== impl Ask =====

impl Ask {
    /// A call that came at `now`, costs so many tokens, and waits for so long if it has to.
    #[must_use]
    pub const fn new(now: Instant, cost: u64, max_wait: Duration) -> Self {
        Self { now, cost, max_wait }
    }

    /// When the call came.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// How many tokens it costs.
    #[must_use]
    pub const fn cost(&self) -> u64 {
        self.cost
    }

    /// How long the call can wait: for the longest wait of the layer, but not up to its ambient deadline.
    ///
    /// To be asked inside of [`Limiter::acquire`], where the deadline is that of the call. Only who cannot admit the
    /// call at once needs to know: a deadline that is not fixed yet is fixed by this.
    #[must_use]
    pub fn patience(&self) -> Duration {
        if self.max_wait.is_zero() {
            return Duration::ZERO;
        }
        match Deadline::current().instant() {
            // Nothing starts at its deadline.
            Some(at) => {
                self.max_wait.min(at.saturating_duration_since(self.now).saturating_sub(Duration::from_nanos(1)))
            }
            None => self.max_wait,
        }
    }
}
